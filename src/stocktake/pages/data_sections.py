"""Data sections: what was painted, taken, refused and split, and what the photos are like."""

import json
import re
from collections import Counter
from collections.abc import Mapping
from pathlib import Path, PurePath
from typing import Any

from stocktake.errors import DataError
from stocktake.pages import page, plots
from stocktake.pages.standing import Stages
from stocktake.schema.cards import Estimate

MOST_COUNTS = 16
"""Counts that a table has columns for; larger ones are gathered."""
MOST_BARS = 40
SAMPLED_COUNTS, SAMPLES = 12, 6
"""Sample photos shown: of so many counts at most, so many of each."""
SAMPLE_PX = 160
REJECTS_SHOWN = 50


def ingested(stages: Stages) -> dict[str, Any]:
    """What became of everything listed, and photos by count."""
    run = stages["ingest"].run
    result, settings = run.result(), run.settings()
    amounts = gathered(result["photos_by_count"], MOST_BARS)
    commonest = max(amounts, key=lambda count: amounts[count])
    told = (
        f"Photos by true count, {result['photos']} in all; the commonest count is {commonest}"
        f" with {amounts[commonest]} photos."
    )
    return {
        "result": result,
        "settings": settings,
        "plot": page.safe(plots.bars("counts", amounts, xlabel="true count", told=told)),
        "told": told,
        "is_painted": is_painted(settings, stages),
    }


def provenance(stages: Stages) -> dict[str, Any]:
    """What the photos are and where they came from, for one line."""
    run = stages["ingest"].run
    settings = run.settings()
    return {
        "photos": run.result()["photos"],
        "source": settings["source"],
        "counts": settings.get("counts", ""),
        "is_painted": is_painted(settings, stages),
    }


def is_painted(settings: Mapping[str, Any], stages: Stages) -> bool:
    """Whether the photos come from a paint run: this run's, or one whose folder says so."""
    parts = PurePath(str(settings.get("source", ""))).parts
    return parts[-3:] == ("paint", "artifacts", "bucket") or (
        "paint" in stages and parts[-2:] == ("artifacts", "bucket")
    )


def painted(stages: Stages) -> dict[str, Any]:
    """What was painted, as the stage's result says it."""
    return {"result": stages["paint"].run.result()}


def rejected(stages: Stages) -> dict[str, Any] | None:
    """Rejects by reason with examples; None if nothing was rejected."""
    from stocktake.schema import photos as schema
    from stocktake.store.tables import read_table

    table = read_table(stages["ingest"].artifact("rejects.parquet"), format=schema.REJECTS_FORMAT)
    rows = table.to_pylist()
    if not rows:
        return None
    first: dict[str, dict[str, str]] = {}
    for row in rows:
        first.setdefault(row["reason"], row)
    reasons = Counter(row["reason"] for row in rows).most_common()
    return {
        "n": len(rows),
        "listed": stages["ingest"].run.result()["listed"],
        "reasons": [{"reason": name, "n": n, "example": first[name]} for name, n in reasons],
        "rows": rows[:REJECTS_SHOWN],
    }


def samples(stages: Stages) -> dict[str, Any] | None:
    """Small pictures by count, of the commonest counts if there are many."""
    facts = facts_of(stages)
    folder = stages["explore"].artifact("samples")
    there = {int(one.name): one for one in folder.iterdir()} if folder.is_dir() else {}
    photos = {int(count): n for count, n in facts["counts"]["photos_by_count"].items()}
    chosen = sorted(there, key=lambda count: -photos.get(count, 0))[:SAMPLED_COUNTS]
    rows = [
        {"count": count, "n": photos.get(count, 0), "photos": _pictures(there[count])}
        for count in sorted(chosen)
    ]
    if not any(row["photos"] for row in rows):
        return None
    return {"rows": rows, "left_out": len(there) - len(chosen)}


def _pictures(folder: Path) -> list[dict[str, Any]]:
    files = sorted(folder.glob("*.jpg"))[:SAMPLES]
    return [{"name": f.stem, "uri": page.photo_uri(f, side_px=SAMPLE_PX)} for f in files]


HEX = re.compile(r"#[0-9a-f]{6}")


def colours(stages: Stages) -> dict[str, Any] | None:
    """Dominant colours by count, with names and shares."""
    found = facts_of(stages)["colours"]
    rows = [
        {"count": count, "colours": [_colour(one) for one in some]}
        for count, some in found["by_count"].items()
    ]
    if not rows:
        return None
    return {
        "rows": rows[:MOST_COUNTS],
        "left_out": max(len(rows) - MOST_COUNTS, 0),
        "space": found["space"],
        "names": found["names"],
        "photos": found["photos_per_count"],
    }


def _colour(row: Mapping[str, Any]) -> dict[str, Any]:
    """The colour, its hex held to its form: it goes into a style."""
    if not HEX.fullmatch(row["hex"]):
        raise DataError(f"facts.json has a colour {row['hex']!r}, expected one like '#705e4c'")
    return {"hex": row["hex"], "name": str(row["name"]), "share": float(row["share"])}


MEASURES = (
    ("width_px", "width", "px"),
    ("height_px", "height", "px"),
    ("aspect", "width / height", ""),
)


def dimensions(stages: Stages) -> dict[str, Any]:
    """Widths, heights, aspects and file sizes of the photos."""
    facts = facts_of(stages)
    drawn = []
    for key, title, unit in MEASURES:
        measure = facts[key]
        spread = (
            f"all {measure['min']:g} {unit}".rstrip()
            if measure["min"] == measure["max"]
            else f"from {measure['min']:g} to {measure['max']:g} {unit}".rstrip()
            + f"; half are under {measure['median']:g}"
        )
        told = f"{title.capitalize()} of {measure['n']:,} photos, {spread}."
        edges, photos = measure["histogram"]["edges"], measure["histogram"]["photos"]
        label = f"{title}, {unit}" if unit else title
        drawn.append(
            {
                "svg": page.safe(
                    plots.histogram(f"size-{key}", edges, photos, xlabel=label, told=told)
                ),
                "told": told,
            }
        )
    rows = [{"title": title, "unit": unit, **facts[key]} for key, title, unit in MEASURES]
    return {"plots": drawn, "rows": rows, "file": facts["photo_bytes"]}


def held(stages: Stages) -> dict[str, Any]:
    """What the records say of items, products and siblings."""
    return {"facts": facts_of(stages)}


def folds(stages: Stages) -> dict[str, Any]:
    """Photos by fold and count."""
    result = stages["split"].run.result()
    by_fold = {
        fold: gathered(counts, MOST_COUNTS, among=_all_counts(result["counts_by_fold"]))
        for fold, counts in result["counts_by_fold"].items()
    }
    photos = result["photos_by_fold"]
    return {
        "result": result,
        "labels": list(next(iter(by_fold.values()))),
        "rows": [
            {"fold": fold, "n": photos[fold], "counts": list(counts.values())}
            for fold, counts in by_fold.items()
        ],
        "n": sum(photos.values()),
        "all": [
            sum(column) for column in zip(*(c.values() for c in by_fold.values()), strict=True)
        ],
    }


def leaks(stages: Stages) -> dict[str, Any]:
    """What the test fold's counts could be told from, in this split and in a random one."""
    audit = read_json(stages["split"].artifact("audit.json"), "split")
    sides = {"this split": audit["this"]}
    if audit["random"]:
        sides["a random split"] = audit["random"]
    rules = [
        {
            "about": sides["this split"]["rules"][name]["about"],
            "cells": [
                {key: Estimate(**side["rules"][name][key]) for key in ("accuracy", "gain", "rmse")}
                for side in sides.values()
            ],
        }
        for name in audit["this"]["rules"]
    ]
    return {
        "audit": audit,
        "sides": sides,
        "rules": rules,
        "best": max(rules[1:], key=lambda rule: rule["cells"][-1]["gain"].value),
        "leaked": stages["split"].run.result()["leaked"],
        "kept": stages["split"].run.result()["kept"],
    }


def _all_counts(by_fold: Mapping[str, Mapping[str, int]]) -> list[int]:
    return sorted({int(count) for counts in by_fold.values() for count in counts})


def gathered(
    photos_by_count: Mapping[str, int], most: int, *, among: list[int] | None = None
) -> dict[str, int]:
    """Photos by label: one per count, the largest gathered as in "15+" beyond `most` labels.

    Args:
        photos_by_count: photos by count.
        most: labels at most, 2 or more.
        among: counts that get a label; those in `photos_by_count` by default.
    """
    photos = {int(count): int(n) for count, n in photos_by_count.items()}
    counts = sorted(photos) if among is None else among
    if len(counts) <= most:
        return {str(count): photos.get(count, 0) for count in counts}
    kept, rest = counts[: most - 1], counts[most - 1 :]
    tail = sum(photos.get(count, 0) for count in rest)
    return {**{str(count): photos.get(count, 0) for count in kept}, f"{rest[0]}+": tail}


def facts_of(stages: Stages) -> dict[str, Any]:
    """explore's facts.json. Raises DataError if it cannot be read or is of another format."""
    from stocktake.schema import facts as schema

    found = dict(read_json(stages["explore"].artifact("facts.json"), "explore"))
    schema.check(found)
    return found


def read_json(path: Path, stage: str) -> Any:
    """What a stage's JSON file holds; DataError that names file and stage if it is damaged."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{path} is not there; run {stage} again") from None
    except (OSError, ValueError) as err:
        raise DataError(f"{path} cannot be read ({err}); run {stage} again") from err
