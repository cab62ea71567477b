"""Split-conformal count intervals: contiguous, around the mode, with a promised coverage.

An interval grows from the most probable count to whichever neighbour is more probable, until it has
gathered a threshold of probability. A photo's score is what was gathered before its true count
joined, so 0 for the mode (the adaptive score of Romano, Sesia and Candes, NeurIPS 2020, arXiv
2006.02544, without its randomisation and on a chain of counts). The threshold is the
ceil((n + 1) * coverage)-th smallest score of a fold that nothing else was fitted on; a new photo
like those is then covered with at least the promised chance, whatever the model (Vovk et al. 2005).
A model right more often than promised covers more: an interval always holds the mode.
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError

ROUNDING = 1e-6
"""Gathered probabilities this little above the threshold count as not above it: float32 sums differ
by about 1e-7 between machines."""


def fit_threshold(log_probs: NDArray[Any], counts: NDArray[Any], *, coverage: float) -> float:
    """Probability that intervals gather before they stop, 0 to 1; 1 makes every interval whole.

    It is 1 as well where the fold is too small for the promise (n below coverage / (1 - coverage)).

    Args:
        log_probs: float (N, K), after the temperature that will be used with it.
        counts: int (N,), true counts; those above max_count can never be covered and say so.
        coverage: share of photos to cover, 0 to 1.

    Raises:
        DataError: if there are no photos.
    """
    if not 0 < coverage < 1:
        raise ValueError(f"coverage must be between 0 and 1, got {coverage}")
    if not len(counts):
        raise DataError("no photos to fit intervals on; put some into the calib fold")
    gathered = np.sort(scores(log_probs, counts))
    rank = math.ceil((len(gathered) + 1) * coverage - 1e-9)  # 0.9 * 10 is 9.000000000000002
    return 1.0 if rank > len(gathered) else float(min(gathered[rank - 1], 1.0))


def intervals(
    log_probs: NDArray[Any], threshold: float
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Smallest and largest count of each photo's interval, both int64 (N,).

    Args:
        log_probs: float (N, K), after temperature.
        threshold: as `fit_threshold` gives it.
    """
    order, gathered = _growth(log_probs)
    size = (gathered <= threshold + ROUNDING).sum(axis=1)  # (N,) 1 or more: the mode's is 0
    inside = np.arange(order.shape[1]) < size[:, None]  # (N, K) in order of joining
    low = np.where(inside, order, order.shape[1]).min(axis=1)
    high = np.where(inside, order, -1).max(axis=1)
    return low, high


def scores(log_probs: NDArray[Any], counts: NDArray[Any]) -> NDArray[np.float64]:
    """Probability gathered before the true count joins, float64 (N,); infinite above max_count."""
    order, gathered = _growth(log_probs)
    joined = order == np.asarray(counts)[:, None]  # (N, K) at most one per row
    return np.where(joined.any(axis=1), (gathered * joined).sum(axis=1), np.inf)


def _growth(log_probs: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """In which order counts join (N, K), and the probability gathered before (N, K)."""
    probabilities = np.exp(np.asarray(log_probs, dtype=np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    photos, counts = probabilities.shape
    rows = np.arange(photos)
    fenced = np.pad(probabilities, ((0, 0), (1, 1)), constant_values=-1)  # count c at column c + 1
    order = np.empty((photos, counts), dtype=np.int64)
    order[:, 0] = probabilities.argmax(axis=1)
    low, high = order[:, 0].copy(), order[:, 0].copy()
    for place in range(1, counts):
        down = fenced[rows, low] >= fenced[rows, high + 2]  # count low - 1 against count high + 1
        low, high = low - down, high + ~down
        order[:, place] = np.where(down, low, high)
    joining = np.take_along_axis(probabilities, order, axis=1)  # (N, K)
    gathered = np.zeros_like(joining)
    gathered[:, 1:] = joining[:, :-1].cumsum(axis=1)
    return order, gathered
