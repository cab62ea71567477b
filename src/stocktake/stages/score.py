"""Score: log-probabilities over counts for every photo of the chosen folds."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.store.shards import PhotoShards

FOLDS = ("train", "val", "calib", "test")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreSettings:
    """What to score and how."""

    folds: list[str] = field(default_factory=lambda: ["val", "calib", "test"])
    """Folds to score, some of train, val, calib and test."""
    batch_size: int = 64
    """Photos at once, 1 or more; the scores do not depend on it."""
    views: int = 1
    """Ways to look at a photo, averaged: 1, 2 (mirrored, too) or 4 (and upside down)."""
    heatmaps: int = 12
    """Photos of each kind worth a look, per fold, that get a heat map of where the model looked."""
    threads: int = 0
    """Threads for the arithmetic; 0 takes the number torch finds right."""

    def __post_init__(self) -> None:
        unknown = [name for name in self.folds if name not in FOLDS]
        if unknown or not self.folds or len(set(self.folds)) < len(self.folds):
            raise ValueError(f"folds must be some of {', '.join(FOLDS)}, got {self.folds}")
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        if self.views not in (1, 2, 4):
            raise ValueError(f"views must be 1, 2 or 4, got {self.views}")
        for name in ("threads", "heatmaps"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreResult:
    """What was scored, and what guessing without photos can know."""

    photos: int
    """Photos scored."""
    max_count: int
    """Largest count the model can say."""
    epoch: int
    """Epoch of the checkpoint."""
    photos_by_fold: dict[str, int]
    """Photos in every fold of the split, scored or not."""
    counts_by_fold: dict[str, dict[str, int]]
    """For every fold of the split, scored or not: photos by count."""
    photos_per_s: float
    """Photos scored a second."""


def score(
    *,
    photos: RunFolder,
    split: RunFolder,
    checkpoint: RunFolder,
    settings: ScoreSettings,
    run: RunFolder,
) -> ScoreResult:
    """Score the photos of the chosen folds with the best checkpoint.

    Raises:
        DataError: if the split is of other photos, or checkpoint or photos are damaged.
    """
    from time import perf_counter

    from stocktake.schema import scores, splits
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import read_table, write_table
    from stocktake.vision import checkpoints, inference, rows, world

    shards = PhotoShards.open(photos.artifact("photos"))
    table = read_table(split.artifact("split.parquet"), format=splits.FORMAT)
    rows.check_same_photos(shards.photo_ids, table)
    best = checkpoints.best(checkpoint.artifact("checkpoints"))
    chosen = scores.of_folds(table, settings.folds)
    began = perf_counter()
    with world.borrowed(threads=settings.threads):
        log_probs = inference.log_probs_of_shards(
            best,
            shards,
            chosen["photo_id"].to_pylist(),
            batch_size=settings.batch_size,
            views=settings.views,
            on_progress=lambda done: run.progress(done, len(chosen), "photos"),
        )
        seconds = perf_counter() - began
        made = scores.table_of(chosen, log_probs)
        write_table(run.artifact("scores.parquet"), made, format=scores.FORMAT)
        if settings.heatmaps:
            _keep_heatmaps(best, shards, made, photos=settings.heatmaps, run=run)
    counts = rows.tally_by_fold(table)
    return ScoreResult(
        photos=len(chosen),
        max_count=scores.max_count(made),
        epoch=checkpoints.describe(best).epoch,
        photos_by_fold={name: sum(tally.values()) for name, tally in counts.items()},
        counts_by_fold=counts,
        photos_per_s=len(chosen) / seconds,
    )


def _keep_heatmaps(
    checkpoint: Path, shards: "PhotoShards", table: Any, *, photos: int, run: RunFolder
) -> None:
    """Keep where the model looked in the photos that a person would look at first."""
    import numpy as np

    from stocktake.schema import heatmaps, scores
    from stocktake.store.tables import write_table
    from stocktake.vision import inference

    places: set[int] = set()
    folds = np.array(table["fold"].to_pylist())
    log_probs, counts = scores.matrix(table), scores.counts(table)
    for fold in np.unique(folds):
        inside = np.flatnonzero(folds == fold)
        kinds = scores.worth_a_look(log_probs[inside], counts[inside], photos)
        places |= {int(inside[place]) for found in kinds.values() for place in found}
    chosen = sorted(places)
    photo_ids = [table["photo_id"][place].as_py() for place in chosen]
    said = log_probs[chosen].argmax(axis=1)
    maps = inference.heatmaps_of_shards(checkpoint, shards, photo_ids, said)
    if maps is None:
        run.warn("this backbone has no feature map with places: the report shows no heat maps")
        return
    made = heatmaps.table_of(photo_ids, said, maps)
    write_table(run.artifact("heatmaps.parquet"), made, format=heatmaps.FORMAT)
