"""Dealing: which fold each sibling group, or each photo alone, falls to.

By hash a fold follows from seed and name only, so nothing else that comes or goes moves it; sizes
are right on the average. By count the sizes are right, and every newcomer may move others.
"""

import hashlib
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

STRATUM_PHOTOS = 20
"""Neighbouring counts are dealt together until they have this many photos: a count that one photo
has cannot be spread, and would always fall to the largest fold."""


def by_hash(names: Iterable[str], *, shares: Mapping[str, float], seed: int) -> dict[str, str]:
    """Fold of every name, by a hash of seed and name alone.

    The last folds of `shares` lie first on the scale, so that a larger test fold takes from its
    neighbour and the first fold gives.
    """
    folds = list(shares)[::-1]
    ends = np.cumsum([shares[fold] for fold in folds])[:-1]
    return {
        name: folds[int(np.searchsorted(ends, _place(seed, name), side="right"))] for name in names
    }


def by_count(
    groups: Sequence[str],
    counts: NDArray[np.int64],
    *,
    shares: Mapping[str, float],
    seed: int,
    placed: Sequence[str] = (),
) -> dict[str, str]:
    """Fold of every group: the largest first, each to the fold that lacks its counts most.

    Args:
        groups: group of every photo, (N,).
        counts: true counts, int64 (N,).
        shares: share of photos of every fold; they sum to 1.
        seed: of the order among groups of one size.
        placed: fold of every photo, "" where it has none yet; empty for none. A group with a placed
            photo is not dealt.
    """
    stratum = strata(counts)
    kinds = int(stratum.max(initial=0)) + 1
    totals = np.bincount(stratum, minlength=kinds)
    names = list(shares)
    wanted = np.array([shares[name] for name in names])  # (F,)
    lacks = np.outer(wanted, totals)  # (F, kinds), photos that each fold still lacks
    for fold, kind in zip(placed, stratum.tolist(), strict=False):
        if fold:
            lacks[names.index(fold), kind] -= 1
    sizes = _sizes(groups, stratum, kinds)
    for group, fold in zip(groups, placed, strict=False):
        if fold:
            sizes.pop(group, None)
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


def _sizes(
    groups: Sequence[str], stratum: NDArray[np.int64], kinds: int
) -> dict[str, NDArray[np.float64]]:
    """Photos of every group by stratum."""
    sizes: dict[str, NDArray[np.float64]] = {}
    for group, kind in zip(groups, stratum.tolist(), strict=True):
        sizes.setdefault(group, np.zeros(kinds))[kind] += 1
    return sizes


def _place(seed: int, name: str) -> float:
    """A place from 0 to 1 that depends on seed and name only."""
    return int.from_bytes(_chance(seed, name)[:8], "big") / 2**64


def _chance(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed} {name}".encode()).digest()
