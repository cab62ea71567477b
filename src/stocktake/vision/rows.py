"""Rows: which photos to train on and to judge by, with their true counts."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stocktake.errors import DataError


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """Photos of a fold."""

    photo_ids: list[str]
    """N ids."""
    counts: NDArray[np.int64]
    """True counts (N,)."""

    def tally(self) -> dict[str, int]:
        """Number of photos by count, counts as text in rising order."""
        found, sizes = np.unique(self.counts, return_counts=True)
        return {str(count): int(size) for count, size in zip(found, sizes, strict=True)}


def check_same_photos(photo_ids: Sequence[str], split: pa.Table) -> None:
    """Hold a split to the photos it is said to be of.

    Raises:
        DataError: if one has a photo that the other lacks.
    """
    ours, theirs = set(photo_ids), set(split["photo_id"].to_pylist())
    for extra, where, lacks in (
        (ours - theirs, "photos", "split"),
        (theirs - ours, "split", "photos"),
    ):
        if extra:
            raise DataError(
                f"the {where} have {len(extra)} photo ids that the {lacks} lack,"
                f" the first is {min(extra)}: this split is of other photos; split these"
            )


def fold(split: pa.Table, name: str) -> Fold:
    """The photos of the fold called `name`, in the order of the split.

    Raises:
        DataError: if it has none.
    """
    rows = split.filter(pc.equal(split["fold"], name))
    if not len(rows):
        raise DataError(f"the split has no photo in the fold '{name}'; raise its share in [split]")
    return Fold(photo_ids=rows["photo_id"].to_pylist(), counts=_counts(rows))


def within(whole: Fold, max_count: int) -> Fold:
    """The photos of a fold whose count is max_count or less.

    Raises:
        DataError: if fewer than two are left, too few to train on.
    """
    kept = np.flatnonzero(whole.counts <= max_count)
    if len(kept) < 2:
        raise DataError(
            f"the train fold has {len(kept)} photos with a count of at most {max_count}, at least 2"
            " are needed; raise max_count or take more photos"
        )
    return Fold(photo_ids=[whole.photo_ids[i] for i in kept], counts=whole.counts[kept])


def limited(whole: Fold, limit: int, split: pa.Table) -> Fold:
    """The first `limit` photos of a fold, 0 for all, sibling groups in an order by hash.

    What a smaller limit takes is part of what a larger one takes, so that a learning curve over
    limits adds photos to those it has. The photos taken stay in the order of the fold.

    Args:
        whole: photos of a fold.
        limit: how many to take.
        split: photo_id and group of at least these photos.
    """
    if not 0 < limit < len(whole.photo_ids):
        return whole
    ids, groups = split["photo_id"].to_pylist(), split["group"].to_pylist()
    group_of = dict(zip(ids, groups, strict=True))

    def place(i: int) -> tuple[bytes, str]:
        photo_id = whole.photo_ids[i]
        return hashlib.sha256(f"limit {group_of[photo_id]}".encode()).digest(), photo_id

    kept = sorted(sorted(range(len(whole.photo_ids)), key=place)[:limit])
    return Fold(photo_ids=[whole.photo_ids[i] for i in kept], counts=whole.counts[kept])


def tally_by_fold(split: pa.Table) -> dict[str, dict[str, int]]:
    """For every fold the number of photos by count."""
    names: list[Any] = pc.unique(split["fold"]).to_pylist()
    return {name: fold(split, name).tally() for name in sorted(names)}


def _counts(rows: pa.Table) -> NDArray[np.int64]:
    counts: NDArray[np.int64] = rows["count"].to_numpy().astype(np.int64)
    return counts
