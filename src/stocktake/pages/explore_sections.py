"""Explore sections: the items on record, what happened in the bins, and what is worth a look."""

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from stocktake.pages import page, plots
from stocktake.pages.data_sections import facts_of
from stocktake.pages.standing import Stages
from stocktake.pages.words import number

SHOWN = 6
"""Pictures of one kind."""
PAIRS = 3
"""Pairs of siblings of one kind."""
PICTURE_PX = 240
MOST_BARS = 10
"""Whole numbers that get a bar each; larger ones are gathered."""
BURNT = 0.0005
"""Share burnt white from which a photo is shown for it: less would read 0.0%."""
ROWS = 50
"""Rows of a table behind a fold."""

SIZES = (
    ("length_in", "piece, length", "in"),
    ("width_in", "piece, width", "in"),
    ("height_in", "piece, height", "in"),
    ("volume_in3", "piece, volume", "in³"),
    ("weight_lb", "piece, weight", "lb"),
    ("volume_in3_per_photo", "whole bin, volume", "in³"),
    ("weight_lb_per_photo", "whole bin, weight", "lb"),
)


def items(stages: Stages) -> dict[str, Any] | None:
    """How many products and pieces, how large and how heavy; None if no item is on record."""
    facts = facts_of(stages)
    if not facts["quantity_per_product"]["n"]:
        return None
    drawn = [
        _whole(
            "products",
            facts["products_per_photo"],
            what="products in a bin",
            of="bins",
        ),
        _whole(
            "quantity",
            facts["quantity_per_product"],
            what="pieces of a product in a bin",
            of="products in bins",
        ),
        _measured("volume", facts["volume_in3_per_photo"], what="volume of a bin's items, in³"),
    ]
    measures = {**facts, **facts["sizes"]}
    sizes = [{"title": title, "unit": unit, **measures[key]} for key, title, unit in SIZES]
    return {
        "plots": [one for one in drawn if one],
        "sizes": [row for row in sizes if row["n"]],
        "facts": facts,
    }


def fullness(stages: Stages) -> dict[str, Any]:
    """Empty, crowded and over-full bins, with pictures of the fullest."""
    found = facts_of(stages)["fullness"]
    pictures = _pictures(stages)
    return {
        "found": found,
        "crowded": _with(pictures, found["crowded"]["shown"]),
        "fullest": _with(pictures, found["fullest"]),
    }


MOVE_WORDS = {
    "pick": ("pick", "items went, none came"),
    "stow": ("stow", "items came, none went"),
    "swap": ("both", "some went, others came"),
    "nothing": ("nothing", "the same items on both"),
    "unknown": ("unknown", "items of one are not on record"),
}


def moves(stages: Stages) -> dict[str, Any] | None:
    """What happened between consecutive siblings, with pairs of pictures; None without siblings."""
    found = facts_of(stages)["moves"]
    if not found["pairs"]:
        return None
    pictures = _pictures(stages)
    changes = found["by_change"]
    same = f"{found['same_count']:.1%} keep" if found["same_count"] else "none keeps"
    told = (
        f"Change of the count from a photo to its next sibling, {found['pairs']:,} pairs;"
        f" {same} the count."
    )
    drawn = [
        _bars("moves", changes, xlabel="change of the count", ylabel="pairs", told=told),
        _bars(
            "common",
            found["products_in_common"],
            xlabel="products in common",
            ylabel="pairs",
            told="Products that are in the bin on both photos, where items are on record.",
        ),
    ]
    rows = [
        {
            "word": MOVE_WORDS[kind][0],
            "about": MOVE_WORDS[kind][1],
            "share": one["pairs"] / found["pairs"],
            "pictures": [_pair(pictures, row) for row in one["shown"][:PAIRS]],
            **one,
        }
        for kind, one in found["kinds"].items()
        if one["pairs"]
    ]
    return {"plots": drawn, "rows": rows, "pairs": found["pairs"]}


def _pair(pictures: Mapping[str, Path], row: Mapping[str, Any]) -> dict[str, Any]:
    ends = ("first", "second")
    return {**row, "uris": [_uri(pictures, row[end]) for end in ends]}


REASON_WORDS = {
    "sum-differs": "items do not sum up to the count",
    "cannot-fit": "items too large for a bin, or far larger than in others",
    "items-moved": "items changed between siblings, the count did not",
    "count-moved": "the count changed between siblings, items did not",
    "twins-differ": "equal photos with different counts",
}


def suspects(stages: Stages) -> dict[str, Any]:
    """Counts worth a second look, by reason, with pictures."""
    found = facts_of(stages)["suspects"]
    pictures = _pictures(stages)
    rows = [{**row, "word": REASON_WORDS[row["reason"]]} for row in found["shown"]]
    first: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        first.setdefault(row["word"], []).append(row)
    return {
        "cases": found["cases"],
        "reasons": [(REASON_WORDS[reason], n) for reason, n in found["by_reason"].items()],
        "groups": [
            (
                word,
                [
                    {**row, "uris": [_uri(pictures, one) for one in row["photo_ids"][:2]]}
                    for row in some[:SHOWN]
                ],
            )
            for word, some in first.items()
        ],
        "rows": rows[:ROWS],
        "more": len(rows) > SHOWN,
    }


def quality(stages: Stages) -> dict[str, Any]:
    """Sharpness and exposure with the worst photos; and those that cannot be decoded any more."""
    facts = facts_of(stages)
    found = facts["quality"]
    pictures = _pictures(stages)
    drawn = []
    if found["photos"]:
        drawn = [
            _measured("sharpness", found["sharpness"], what="sharpness"),
            _measured("luma", found["luma"], what="mean brightness, 0 black to 1 white"),
            _measured("contrast", found["contrast"], what="contrast, standard deviation of luma"),
        ]
    shelves = [
        ("Most blurred", _with(pictures, found["most_blurred"])),
        ("Darkest", _with(pictures, found["darkest"])),
        ("Most burnt", _with(pictures, [r for r in found["most_burnt"] if r["bright"] >= BURNT])),
    ]
    return {
        "found": found,
        "plots": drawn,
        "shelves": [(title, some) for title, some in shelves if some],
        "undecodable": facts["undecodable"],
        "n": facts["photos"],
    }


def duplicates(stages: Stages) -> dict[str, Any]:
    """Photos that are there more than once, as the same file or as the same pixels."""
    facts = facts_of(stages)
    pictures = _pictures(stages)
    kinds = [
        {
            "title": title,
            **found,
            "pictures": [
                {"ids": group[:SHOWN], "n": len(group), "uri": _uri(pictures, group[0])}
                for group in found["shown"][:SHOWN]
            ],
        }
        for title, found in (
            ("the same file", facts["duplicates"]["same_bytes"]),
            ("the same pixels in different files", facts["duplicates"]["same_pixels"]),
        )
    ]
    return {"kinds": kinds, "n": facts["quality"]["photos"], "any": any(k["groups"] for k in kinds)}


def _whole(name: str, found: Mapping[str, Any], *, what: str, of: str) -> dict[str, Any] | None:
    """Bars of whole numbers."""
    if not found["n"]:
        return None
    told = (
        f"{what.capitalize()}, {found['n']:,} {of}: {found['mean']:.2g} on average,"
        f" at most {found['max']:,}."
    )
    return _bars(
        f"items-{name}",
        _gathered(found["times"]),
        xlabel=what,
        ylabel=of,
        told=told,
        is_small=True,
    )


def _gathered(times: Mapping[str, int]) -> dict[str, int]:
    """Times by number as facts have them; beyond MOST_BARS the last bar takes the rest."""
    labels = list(times)
    if len(labels) <= MOST_BARS:
        return dict(times)
    kept = labels[: MOST_BARS - 1]
    rest = labels[MOST_BARS - 1 :]
    last = f"{rest[0].rstrip('+')}+"
    return {label: times[label] for label in kept} | {last: sum(times[label] for label in rest)}


def _bars(
    name: str,
    amounts: Mapping[str, int],
    *,
    xlabel: str,
    ylabel: str,
    told: str,
    is_small: bool = False,
) -> dict[str, Any]:
    """Bars of whole numbers, with what they tell."""
    typed = {label.replace("-", "−"): n for label, n in amounts.items()}
    size_in = plots.SMALL_IN if is_small else plots.SIZE_IN
    svg = plots.bars(name, typed, xlabel=xlabel, ylabel=ylabel, told=told, size_in=size_in)
    return {"svg": page.safe(svg), "told": told}


def _measured(name: str, found: Mapping[str, Any], *, what: str) -> dict[str, Any] | None:
    """Histogram of something measured."""
    if not found["n"]:
        return None
    histogram = found["histogram"]
    title = what.split(",")[0]
    told = (
        f"{title.capitalize()} of {found['n']:,} photos; half are under {number(found['median'])}"
    )
    if histogram.get("beyond"):
        told += (
            f", the last bar takes {histogram['beyond']:,} above {number(histogram['edges'][-1])},"
            f" up to {number(found['max'])}"
        )
    told += "."
    svg = plots.histogram(
        f"explore-{name}", histogram["edges"], histogram["photos"], xlabel=what, told=told
    )
    return {"svg": page.safe(svg), "told": told}


def _pictures(stages: Stages) -> dict[str, Path]:
    """Pictures that explore kept, by photo id: ids from facts.json never become paths."""
    folder = stages["explore"].artifact("pictures")
    return {path.stem: path for path in folder.glob("*.jpg")} if folder.is_dir() else {}


def _with(pictures: Mapping[str, Path], rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The first rows whose photo has a picture, each with it."""
    there = [row for row in rows if row["photo_id"] in pictures]
    return [{**row, "uri": _uri(pictures, row["photo_id"])} for row in there[:SHOWN]]


def _uri(pictures: Mapping[str, Path], photo_id: str) -> str | None:
    path = pictures.get(photo_id)
    return None if path is None else page.photo_uri(path, side_px=PICTURE_PX)
