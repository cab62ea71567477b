"""Paired: whether one model is better than another on the same photos, or only luckier.

The interval resamples sibling groups, both models' answers together. The p-value swaps the two
models' answers in half of the groups at random: if they were equally good, that would change
nothing (Fisher 1935, The Design of Experiments, section 21).
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.measure import bootstrap
from stocktake.measure.metrics import Statistic

SWAPS = 10_000
"""Random swaps behind a p-value; the least it can be is 1 in 10,001."""
AT_ONCE = 500


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """By how much the second model's figure exceeds the first one's, on the same photos."""

    value: float
    """Second less first."""
    low: float
    """Lower end of its 95 % interval, sibling groups resampled."""
    high: float
    """Upper end."""
    p: float
    """Two-sided: how often swapped answers differ as much, 0 to 1."""
    n: int
    """Photos."""
    groups: int
    """Sibling groups."""


def difference(
    first: Statistic, second: Statistic, groups: NDArray[Any], *, resamples: int, seed: int
) -> Difference:
    """The same figure of two models on the same N photos, compared.

    Args:
        first: of one model.
        second: of the other, the same figure.
        groups: (N,), the sibling group of each photo.
        resamples: how often groups are drawn for the interval, 1 or more.
        seed: of draws and swaps.

    Raises:
        DataError: if there are no photos, or the two are of different photos.
    """
    if len(first.terms) != len(second.terms) or first.terms.shape[1] != second.terms.shape[1]:
        raise DataError(
            f"figures of {len(first.terms)} and {len(second.terms)} photos cannot be compared in"
            " pairs; score the same fold with both"
        )
    both = np.concatenate([first.terms, second.terms], axis=1)
    width = first.terms.shape[1]
    # both halves of one array: resampled as one, they stay paired
    joint = Statistic(
        both, lambda means: second.combine(means[..., width:]) - first.combine(means[..., :width])
    )
    found = bootstrap.estimates({"joint": joint}, groups, resamples=resamples, seed=seed)["joint"]
    return Difference(
        value=found.value,
        low=found.low,
        high=found.high,
        p=_p_value(first, second, groups, seed),
        n=found.n,
        groups=len(np.unique(groups)),
    )


def _p_value(first: Statistic, second: Statistic, groups: NDArray[Any], seed: int) -> float:
    """How often swapping groups at random makes as large a difference as there is."""
    _, places = np.unique(groups, return_inverse=True)
    shape = (int(places.max()) + 1, first.terms.shape[1])  # (G, M)
    ones, twos = np.zeros(shape), np.zeros(shape)
    np.add.at(ones, places, first.terms)
    np.add.at(twos, places, second.terms)
    photos, total = len(first.terms), (ones + twos).sum(axis=0)
    seen = abs(second.value - first.value)
    rng = np.random.default_rng(seed)
    as_large = 0
    for _ in range(SWAPS // AT_ONCE):
        kept = rng.integers(0, 2, size=(AT_ONCE, len(ones)))
        one = twos.sum(axis=0) + kept @ (ones - twos)  # (AT_ONCE, M)
        gap = second.combine((total - one) / photos) - first.combine(one / photos)
        as_large += int((np.abs(gap) >= seen - 1e-12).sum())
    return (1 + as_large) / (1 + SWAPS)
