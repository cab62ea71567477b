"""Explore: say what the data is like, in numbers and in small pictures."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stocktake.store.shards import PhotoShards

THUMBNAIL_PX = 160
"""Long side of the sample pictures."""
THUMBNAIL_QUALITY = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class ExploreSettings:
    """How much to look at."""

    samples_per_count: int = 4
    """Small pictures kept of every count, 0 to 100."""
    colours: int = 5
    """Dominant colours told per count, 1 to 20."""
    photos_for_colours: int = 40
    """Photos of every count that its colours are taken from, 1 to 10000."""
    seed: int = 0
    """Seed of what is looked at."""

    def __post_init__(self) -> None:
        limits = {
            "samples_per_count": (0, 100),
            "colours": (1, 20),
            "photos_for_colours": (1, 10_000),
        }
        for name, (low, high) in limits.items():
            if not low <= getattr(self, name) <= high:
                raise ValueError(f"{name} must be {low} to {high}, got {getattr(self, name)}")


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
    share_with_siblings: float
    """Share of photos that show the same bin as another, 0 to 1."""
    median_width_px: float
    """Median width, pixels."""
    median_height_px: float
    """Median height, pixels."""
    size_bytes: int
    """Size of all photos."""


def explore(*, photos: RunFolder, settings: ExploreSettings, run: RunFolder) -> ExploreResult:
    """Write facts.json and samples/COUNT/ID.jpg.

    Raises:
        DataError: if there are no photos, or one cannot be decoded any more.
    """
    from stocktake.data import colours, facts
    from stocktake.store.shards import PhotoShards

    shards = PhotoShards.open(photos.artifact("photos"))
    rows = shards.rows()
    found = facts.of_photos(rows, shards.sizes_bytes())
    samples = facts.sample(rows, per_count=settings.samples_per_count, seed=settings.seed)
    _write_samples(shards, samples, run)
    by_count = dict(_colours(shards, rows, settings=settings, run=run))
    found["samples"] = {str(count): photo_ids for count, photo_ids in samples.items()}
    found["colours"] = {
        "space": colours.SPACE,
        "photos_per_count": settings.photos_for_colours,
        "by_count": by_count,
    }
    text = json.dumps(found, indent=2, ensure_ascii=False)
    run.artifact("facts.json").write_text(text + "\n", encoding="utf-8")
    return ExploreResult(
        photos=found["photos"],
        photos_by_count=found["counts"]["photos_by_count"],
        mean_count=found["counts"]["mean"],
        always_commonest_accuracy=found["counts"]["always_commonest_accuracy"],
        empty_bins=found["counts"]["empty_bins"],
        differing_sums=found["differing_sums"]["photos"],
        share_with_siblings=found["siblings"]["share_with_siblings"],
        median_width_px=found["width_px"]["median"],
        median_height_px=found["height_px"]["median"],
        size_bytes=found["size_bytes"],
    )


def _write_samples(shards: "PhotoShards", samples: dict[int, list[str]], run: RunFolder) -> None:
    """Small pictures of the samples, as samples/COUNT/ID.jpg."""
    from PIL import Image

    for count, photo_ids in samples.items():
        for photo_id, pixels in _pixels(shards, photo_ids):
            small = Image.fromarray(pixels)
            small.thumbnail((THUMBNAIL_PX, THUMBNAIL_PX))
            made = io.BytesIO()
            small.save(made, "JPEG", quality=THUMBNAIL_QUALITY)
            run.artifact(f"samples/{count}/{photo_id}.jpg").write_bytes(made.getvalue())


def _colours(
    shards: "PhotoShards", rows: Any, *, settings: ExploreSettings, run: RunFolder
) -> Iterator[tuple[str, list[dict[str, Any]]]]:
    """The dominant colours of every count."""
    import numpy as np

    from stocktake.data import colours, facts

    seen = facts.sample(rows, per_count=settings.photos_for_colours, seed=settings.seed)
    total = sum(len(photo_ids) for photo_ids in seen.values())
    done = 0
    for count, photo_ids in seen.items():
        each = max(colours.PIXELS // len(photo_ids), 1)
        pixels = [
            colours.some_pixels(photo, each, seed=settings.seed)
            for _, photo in _pixels(shards, photo_ids)
        ]
        yield (
            str(count),
            colours.dominant(np.concatenate(pixels), colours=settings.colours, seed=settings.seed),
        )
        done += len(photo_ids)
        run.progress(done, total, "photos for colours")


def _pixels(
    shards: "PhotoShards", photo_ids: list[str]
) -> "Iterator[tuple[str, NDArray[np.uint8]]]":
    from stocktake.errors import DataError
    from stocktake.imaging.decode import decode

    for photo_id in photo_ids:
        (jpeg,) = shards.jpegs([photo_id])
        try:
            yield photo_id, decode(jpeg)
        except DataError as err:
            raise DataError(f"photo {photo_id}: {err}; ingest the photos again") from err
