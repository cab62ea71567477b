"""Folds: every photo gets one; sibling groups stay whole, counts are spread evenly."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stocktake.data import siblings
from stocktake.errors import DataError
from stocktake.schema import splits

STRATUM_PHOTOS = 20
"""Neighbouring counts are dealt together until they have this many photos: a count that one photo
has cannot be spread, and would always fall to the largest fold."""


def by_siblings(rows: pa.Table, *, shares: Mapping[str, float], seed: int) -> pa.Table:
    """A split/1 table, sorted by photo_id; the same whatever the order of rows.

    Args:
        rows: photo_id, count and items of N photos.
        shares: share of photos of every fold; they sum to 1.
        seed: of the assignment.

    Raises:
        DataError: if a fold would be empty.
    """
    groups = siblings.find(rows).groups
    counts = rows["count"].to_numpy().astype(np.int64)
    fold_of = _deal(groups, counts, shares=shares, seed=seed)
    assigned = pa.Table.from_pydict(
        {
            "photo_id": rows["photo_id"],
            "fold": [fold_of[group] for group in groups],
            "group": groups,
            "count": rows["count"],
        },
        schema=splits.SCHEMA,
    ).sort_by("photo_id")
    _check_none_is_empty(assigned, shares, len(set(groups)))
    splits.check(assigned)
    return assigned


def tally(split: pa.Table) -> dict[str, dict[str, int]]:
    """For every fold the number of photos by count, counts as text in rising order."""
    found: dict[str, Counter[int]] = {name: Counter() for name in splits.FOLDS}
    for fold, count in zip(split["fold"].to_pylist(), split["count"].to_pylist(), strict=True):
        found[fold][count] += 1
    return {
        fold: {str(count): photos for count, photos in sorted(counts.items())}
        for fold, counts in found.items()
    }


def strata(counts: NDArray[np.int64], at_least: int = STRATUM_PHOTOS) -> NDArray[np.int64]:
    """Stratum of every photo, int64 (N,): its count, or a run of neighbouring rare ones."""
    values, sizes = np.unique(counts, return_counts=True)
    stratum_of, stratum, gathered = {}, 0, 0
    for i, (value, size) in enumerate(zip(values.tolist(), sizes.tolist(), strict=True)):
        stratum_of[value] = stratum
        gathered += size
        rest = int(sizes[i + 1 :].sum())
        if gathered >= at_least and rest >= at_least:
            stratum, gathered = stratum + 1, 0
    return np.array([stratum_of[value] for value in counts.tolist()], dtype=np.int64)


def _deal(
    groups: Sequence[str], counts: NDArray[np.int64], *, shares: Mapping[str, float], seed: int
) -> dict[str, str]:
    """Fold of every group: the largest first, each to the fold that lacks its counts most."""
    stratum = strata(counts)
    kinds = int(stratum.max(initial=0)) + 1
    sizes: dict[str, NDArray[np.float64]] = {}
    for group, kind in zip(groups, stratum.tolist(), strict=True):
        sizes.setdefault(group, np.zeros(kinds))[kind] += 1
    totals = np.bincount(stratum, minlength=kinds)
    names = list(shares)
    wanted = np.array([shares[name] for name in names])  # (F,)
    lacks = np.outer(wanted, totals)  # (F, kinds), photos that each fold still lacks
    order = sorted(sizes, key=lambda group: (-sizes[group].sum(), _chance(seed, group)))
    fold_of = {}
    for group in order:
        size = sizes[group]
        # Shares still lacked, of the group's counts first, then of photos in all. Shares, not
        # photos: else the first groups dealt, the large ones, would all go to the largest fold.
        of_counts = np.round((lacks / np.maximum(totals, 1)) @ size / wanted, 9)  # (F,)
        of_all = np.round(lacks.sum(axis=1) / wanted, 9)  # (F,)
        best = max(range(len(names)), key=lambda place: (of_counts[place], of_all[place]))
        lacks[best] -= size
        fold_of[group] = names[best]
    return fold_of


def _chance(seed: int, group: str) -> bytes:
    """A place in the order that depends on seed and name only."""
    return hashlib.sha256(f"{seed} {group}".encode()).digest()


def _check_none_is_empty(split: pa.Table, shares: Mapping[str, float], groups: int) -> None:
    taken = set(split["fold"].to_pylist())
    for name in shares:
        if name not in taken:
            raise DataError(
                f"the fold '{name}' would get none of {len(split)} photos in {groups} sibling"
                f" groups with a share of {shares[name]:.2f}; take more photos or raise its share"
            )
