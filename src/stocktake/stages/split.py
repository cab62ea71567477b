"""Split: give every photo a fold; siblings (one bin, moments apart) stay together."""

from collections import Counter
from dataclasses import dataclass

from stocktake.runs.folder import RunFolder

LARGE_GROUP = 0.05
"""A sibling group above this share of all photos makes a fold's size a matter of luck."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSettings:
    """How large each fold is; train gets what the others leave."""

    val_frac: float = 0.10
    """Share of photos for picking the best epoch and settings, 0 to 1."""
    calib_frac: float = 0.10
    """Share of photos for fitting temperature and intervals, 0 to 1."""
    test_frac: float = 0.15
    """Share of photos held out for the final scorecard, 0 to 1."""
    seed: int = 0
    """Seed of the assignment."""

    def __post_init__(self) -> None:
        names = ("val_frac", "calib_frac", "test_frac")
        for name in names:
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        held_out = sum(getattr(self, name) for name in names)
        if held_out >= 1:
            raise ValueError(
                f"{', '.join(names)} must leave photos to train on, but sum to {held_out:.2f}"
            )


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitResult:
    """Sizes of the folds and of the sibling groups in them."""

    photos_by_fold: dict[str, int]
    """Photos in train, val, calib and test."""
    counts_by_fold: dict[str, dict[str, int]]
    """For every fold, photos by true count."""
    groups: int
    """Sibling groups, photos without siblings included."""
    siblings: int
    """Photos with at least one sibling."""
    largest_group: int
    """Photos in the largest sibling group."""


def split(*, photos: RunFolder, settings: SplitSettings, run: RunFolder) -> SplitResult:
    """Assign folds, whole sibling groups at a time.

    Raises:
        DataError: if a fold would be empty.
    """
    from stocktake.data import folds
    from stocktake.schema import splits
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import write_table

    rows = PhotoShards.open(photos.artifact("photos")).rows()
    held_out = {
        "val": settings.val_frac,
        "calib": settings.calib_frac,
        "test": settings.test_frac,
    }
    shares = {"train": 1 - sum(held_out.values()), **held_out}
    assigned = folds.by_siblings(rows, shares=shares, seed=settings.seed)
    write_table(run.artifact("split.parquet"), assigned, format=splits.FORMAT)
    sizes = Counter(assigned["group"].to_pylist())
    largest, photos_in_it = sizes.most_common(1)[0]
    if photos_in_it > max(LARGE_GROUP * len(assigned), 3):
        run.warn(
            f"{photos_in_it} of {len(assigned)} photos are one chain of siblings, from {largest};"
            " fold sizes suffer (are their items unknown?)"
        )
    counts_by_fold = folds.tally(assigned)
    return SplitResult(
        photos_by_fold={fold: sum(counts.values()) for fold, counts in counts_by_fold.items()},
        counts_by_fold=counts_by_fold,
        groups=len(sizes),
        siblings=sum(size for size in sizes.values() if size > 1),
        largest_group=photos_in_it,
    )
