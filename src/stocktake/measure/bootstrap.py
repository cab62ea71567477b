"""Intervals: a bootstrap that resamples sibling groups, and Wilson's for shares.

Photos of one bin moments apart are not independent, so resampling photos would promise too narrow
intervals; whole groups are drawn with replacement instead (Davison and Hinkley 1997, section 3.8).
"""

import math
from collections.abc import Hashable, Iterator, Mapping
from statistics import NormalDist
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.measure.metrics import Statistic
from stocktake.schema.cards import Estimate

LEVEL = 0.95
DRAWS_AT_ONCE = 2_000_000
"""Drawn groups held in memory at a time: 16 MB."""


Name = TypeVar("Name", bound=Hashable)


def estimates(
    statistics: Mapping[Name, Statistic], groups: NDArray[Any], *, resamples: int, seed: int
) -> dict[Name, Estimate]:
    """Every statistic with its interval; all on the same resamples, so differences are paired.

    Percentile intervals; for a gap, which noise only ever widens, the basic bootstrap, which takes
    the same noise off again; for a share of exactly 0 or 1, where resampling sees no spread,
    Wilson's.

    Args:
        statistics: figures of the same N photos, by name.
        groups: (N,), the sibling group of each photo.
        resamples: how often groups are drawn, 1 or more.
        seed: of the draws.

    Raises:
        DataError: if there are no photos or the lengths differ.
    """
    names = list(statistics)
    widths = [statistics[name].terms.shape[1] for name in names]
    terms = np.concatenate([statistics[name].terms for name in names], axis=1)  # (N, M)
    if len(terms) != len(groups) or not len(groups):
        raise DataError(
            f"{len(terms)} photos but {len(groups)} groups; expected as many, 1 or more"
        )
    means = np.concatenate(list(resampled_means(terms, groups, resamples=resamples, seed=seed)))
    parts = np.split(means, np.cumsum(widths)[:-1], axis=1)  # (R, M of each)
    drawn = len(np.unique(groups))
    return {
        name: _estimate(statistics[name], statistics[name].combine(part), drawn)
        for name, part in zip(names, parts, strict=True)
    }


def resampled_means(
    terms: NDArray[np.float64], groups: NDArray[Any], *, resamples: int, seed: int
) -> Iterator[NDArray[np.float64]]:
    """Means of the terms (N, M) over photos, for every resample: pieces of (R, M)."""
    _, places = np.unique(groups, return_inverse=True)
    drawn = int(places.max()) + 1  # G
    sums = np.zeros((drawn, terms.shape[1] + 1))
    np.add.at(sums, places, np.column_stack([terms, np.ones(len(terms))]))  # last: photos
    rng = np.random.default_rng(seed)
    at_once = max(DRAWS_AT_ONCE // drawn, 1)
    for start in range(0, resamples, at_once):
        rows = min(at_once, resamples - start)
        picks = rng.integers(0, drawn, size=(rows, drawn)) + np.arange(rows)[:, None] * drawn
        times = np.bincount(picks.ravel(), minlength=rows * drawn).reshape(rows, drawn)
        totals = times @ sums  # (rows, M + 1)
        yield totals[:, :-1] / totals[:, -1:]


def wilson(right: float, n: int, *, level: float = LEVEL) -> Estimate:
    """The share right / n with Wilson's score interval (Wilson 1927), photos taken as independent.

    Raises:
        DataError: if n is 0.
    """
    if n < 1:
        raise DataError("a share of 0 photos has no value; choose a fold that has some")
    share = right / n
    z = NormalDist().inv_cdf((1 + level) / 2)
    centre = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return Estimate(
        value=share,
        n=n,
        low=min(max(centre - half, 0.0), share),
        high=max(min(centre + half, 1.0), share),
        method=f"Wilson {level:.0%}",
    )


def _estimate(statistic: Statistic, resampled: NDArray[np.float64], drawn: int) -> Estimate:
    value, n = statistic.value, len(statistic.terms)
    if statistic.kind == "share" and value in (0.0, 1.0):
        return wilson(value * n, n)
    if drawn == 1:
        return Estimate(value=value, n=n, low=value, high=value, method="none: one sibling group")
    low, high = np.quantile(resampled, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    kind = "percentile"
    if statistic.kind == "gap":
        kind = "basic"
        low, high = max(2 * value - high, 0.0), max(2 * value - low, 0.0)
    return Estimate(
        value=value,
        n=n,
        low=min(float(low), value),
        high=max(float(high), value),
        method=f"{kind} bootstrap {LEVEL:.0%}, {len(resampled)} resamples of {drawn} groups",
    )
