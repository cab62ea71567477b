"""Explore: say what the data is like, in numbers and in small pictures."""

import json
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stocktake.data.looks import Look, Unseen
    from stocktake.store.shards import PhotoShards

SAMPLE_PX = 160
"""Long side of the sample pictures."""
PICTURE_PX = 240
"""Long side of the pictures worth a look: large enough to see blur."""


PACE = ("workers",)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExploreSettings:
    """How much to look at."""

    samples_per_count: int = 4
    """Small pictures kept of every count, 0 to 100."""
    colours: int = 5
    """Dominant colours told per count, 1 to 20."""
    photos_for_colours: int = 1000
    """Photos of every count that its colours are taken from, 1 to 10000."""
    pictures: int = 6
    """Small pictures kept of each kind of photo worth a look (blurred, dark, too full, equal,
    siblings, suspicious), 0 to 100."""
    bin_volume_in3: float = 0
    """What a bin holds, cubic inches; 0 judges over-full bins by the others."""
    workers: int = 0
    """Photos looked at at once, 0 to 256; 0 is one per core."""
    seed: int = 0
    """Seed of what is looked at."""

    def __post_init__(self) -> None:
        limits = {
            "samples_per_count": (0, 100),
            "colours": (1, 20),
            "photos_for_colours": (1, 10_000),
            "pictures": (0, 100),
            "bin_volume_in3": (0, 1e9),
            "workers": (0, 256),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(
                    f"{name} must be {low:,.0f} to {high:,.0f}, got {getattr(self, name)}"
                )


@dataclass(frozen=True, kw_only=True, slots=True)
class ExploreResult:
    """The facts in short; facts.json has them all."""

    photos: int
    """Photos looked at."""
    photos_by_count: dict[str, int]
    """Photos by true count."""
    mean_count: float
    """Mean true count."""
    always_commonest_accuracy: float
    """What always answering the commonest count would score, 0 to 1."""
    empty_bins: int
    """Photos of empty bins."""
    differing_sums: int
    """Photos whose items do not sum up to the true count."""
    suspects: int
    """Cases of counts worth a second look, differing sums among them."""
    equal_photos: int
    """Photos that are there more than once, as the same file or as the same pixels."""
    undecodable: int
    """Photos that could not be decoded; all that needs no pixels is told of them as well."""
    share_with_siblings: float
    """Share of photos that show the same bin as another, 0 to 1."""
    median_width_px: float
    """Median width, pixels."""
    median_height_px: float
    """Median height, pixels."""
    size_bytes: int
    """Size of all photos."""


def explore(*, photos: RunFolder, settings: ExploreSettings, run: RunFolder) -> ExploreResult:
    """Write facts.json, samples/COUNT/ID.jpg and pictures/ID.jpg, in one pass over the photos.

    Raises:
        DataError: if there are no photos, or what is told of them beside pixels is damaged.
    """
    from stocktake.data import duplicates, facts, quality
    from stocktake.store.shards import PhotoShards

    shards = PhotoShards.open(photos.artifact("photos"))
    rows = shards.rows()
    seen = _look(shards, rows, settings=settings, run=run)
    same_bytes = duplicates.same_bytes(rows)
    digests = {look.photo_id: look.digest for look in seen.looks}
    same_pixels = duplicates.same_pixels(rows, digests, lambda one: shards.jpegs([one])[0])
    found = facts.of_photos(
        rows,
        seen.sizes_bytes,
        bin_volume_in3=settings.bin_volume_in3,
        twins=[*same_bytes, *same_pixels],
    )
    found["undecodable"] = _undecodable(seen.unseen)
    found["quality"] = quality.of_looks(seen.looks)
    found["duplicates"] = {
        "same_bytes": duplicates.summary(same_bytes),
        "same_pixels": duplicates.summary(same_pixels),
    }
    found["colours"] = _colours(seen, settings)
    samples = facts.sample(rows, per_count=settings.samples_per_count, seed=settings.seed)
    worth = _worth_a_look(found, settings.pictures)
    found["samples"], found["pictures"] = _write_pictures(shards, samples, worth, run=run)
    text = json.dumps(found, indent=2, ensure_ascii=False)
    run.artifact("facts.json").write_text(text + "\n", encoding="utf-8")
    if seen.unseen:
        first = seen.unseen[0]
        run.warn(
            f"{len(seen.unseen)} of {len(rows)} photos cannot be decoded any more, the first is"
            f" {first.photo_id}: {first.error}; ingest the photos again"
        )
    return _result(found)


@dataclass(kw_only=True, slots=True)
class _Seen:
    """What the pass over the photos brought."""

    looks: "list[Look]" = field(default_factory=list)
    unseen: "list[Unseen]" = field(default_factory=list)
    sizes_bytes: list[int] = field(default_factory=list)
    pixels: "dict[int, list[NDArray[np.uint8]]]" = field(default_factory=dict)
    """Pixels for the colours of every count."""


def _look(shards: "PhotoShards", rows: Any, *, settings: ExploreSettings, run: RunFolder) -> _Seen:
    """Every photo looked at once."""
    from stocktake.data import colours, facts, looks

    chosen = facts.sample(rows, per_count=settings.photos_for_colours, seed=settings.seed)
    count_of = {photo_id: count for count, ids in chosen.items() for photo_id in ids}
    each = {count: -(-colours.PIXELS // len(ids)) for count, ids in chosen.items()}
    pixels_of = {photo_id: each[count] for photo_id, count in count_of.items()}
    seen = _Seen(pixels={count: [] for count in chosen})
    workers = settings.workers or os.cpu_count() or 1
    found = looks.look_at_all(shards, pixels_of, workers=workers, seed=settings.seed)
    for done, one in enumerate(found, start=1):
        if one.size_bytes is not None:
            seen.sizes_bytes.append(one.size_bytes)
        if isinstance(one, looks.Look):
            if one.photo_id in count_of:
                seen.pixels[count_of[one.photo_id]].append(one.pixels)
            seen.looks.append(one.without_pixels())
        else:
            seen.unseen.append(one)
        run.progress(done, len(shards), "photos")
    return seen


def _undecodable(unseen: "list[Unseen]") -> dict[str, Any]:
    from stocktake.data.summaries import listed

    return listed([{"photo_id": one.photo_id, "error": one.error} for one in unseen])


def _colours(seen: _Seen, settings: ExploreSettings) -> dict[str, Any]:
    """The dominant colours of every count that has a photo to be seen."""
    import numpy as np

    from stocktake.data import colours

    return {
        "space": colours.SPACE,
        "names": colours.NAMES,
        "photos_per_count": settings.photos_for_colours,
        "by_count": {
            str(count): colours.dominant(
                np.concatenate(some), colours=settings.colours, seed=settings.seed
            )
            for count, some in seen.pixels.items()
            if some
        },
    }


def _worth_a_look(found: Mapping[str, Any], most: int) -> list[str]:
    """Ids of the photos that a reader wants to see, up to `most` of each kind."""
    quality, fullness = found["quality"], found["fullness"]
    rows = [
        *(quality[kind][:most] for kind in ("most_blurred", "darkest", "most_burnt")),
        *(fullness[kind]["shown"][:most] for kind in ("crowded", "over_full")),
        fullness["fullest"][:most],
    ]
    ids = [row["photo_id"] for some in rows for row in some]
    for kind in found["moves"]["kinds"].values():
        ids += [row[end] for row in kind["shown"][:most] for end in ("first", "second")]
    for same in found["duplicates"].values():
        ids += [photo_id for group in same["shown"][:most] for photo_id in group[:most]]
    by_reason: dict[str, list[list[str]]] = {}
    for row in found["suspects"]["shown"]:
        by_reason.setdefault(row["reason"], []).append(row["photo_ids"][:most])
    ids += [one for groups in by_reason.values() for group in groups[:most] for one in group]
    return list(dict.fromkeys(ids))


def _write_pictures(
    shards: "PhotoShards", samples: Mapping[int, list[str]], worth: Iterable[str], *, run: RunFolder
) -> tuple[dict[str, list[str]], list[str]]:
    """Small pictures as samples/COUNT/ID.jpg and pictures/ID.jpg; ids of those written."""
    from stocktake.data import pictures

    wanted: dict[str, list[tuple[str, int]]] = {}
    for count, photo_ids in samples.items():
        for photo_id in photo_ids:
            wanted.setdefault(photo_id, []).append((f"samples/{count}", SAMPLE_PX))
    for photo_id in worth:
        wanted.setdefault(photo_id, []).append(("pictures", PICTURE_PX))
    written = pictures.write(shards, wanted, lambda folder, name: run.artifact(f"{folder}/{name}"))
    by_count = {str(count): written.get(f"samples/{count}", []) for count in samples}
    return by_count, written.get("pictures", [])


def _result(found: Mapping[str, Any]) -> ExploreResult:
    """The facts in short."""
    return ExploreResult(
        photos=found["photos"],
        photos_by_count=found["counts"]["photos_by_count"],
        mean_count=found["counts"]["mean"],
        always_commonest_accuracy=found["counts"]["always_commonest_accuracy"],
        empty_bins=found["counts"]["empty_bins"],
        differing_sums=found["differing_sums"]["photos"],
        suspects=found["suspects"]["cases"],
        equal_photos=sum(same["photos"] for same in found["duplicates"].values()),
        undecodable=found["undecodable"]["photos"],
        share_with_siblings=found["siblings"]["share_with_siblings"],
        median_width_px=found["width_px"]["median"],
        median_height_px=found["height_px"]["median"],
        size_bytes=found["size_bytes"],
    )
