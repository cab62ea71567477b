"""Temperature scaling: one number that makes stated confidence match how often it is right.

Guo, Pleiss, Sun, Weinberger, "On Calibration of Modern Neural Networks", ICML 2017 (arXiv
1706.04599). It keeps the order of counts, so the most probable one stays.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError

LOWEST, HIGHEST = 0.05, 20.0
"""Ends of the search; fitted values of trained nets lie around 1 to 3 (Guo et al., table 1)."""
TOLERANCE = 1e-4
"""Width of the final bracket of log temperature; the loss is flat to 1e-8 there."""


def with_temperature(log_probs: NDArray[Any], temperature: float) -> NDArray[Any]:
    """log_probs (N, K) of the same dtype, softened (temperature above 1) or sharpened (below 1).

    Raises:
        ValueError: if the temperature is not above 0.
    """
    if not 0 < temperature < math.inf:
        raise ValueError(f"temperature must be above 0, got {temperature}")
    scaled = np.asarray(log_probs, dtype=np.float64) / temperature  # (N, K)
    scaled -= scaled.max(axis=1, keepdims=True)
    scaled -= np.log(np.exp(scaled).sum(axis=1, keepdims=True))
    return scaled.astype(log_probs.dtype)


def fit_temperature(log_probs: NDArray[Any], counts: NDArray[Any]) -> float:
    """Temperature with the lowest mean negative log-likelihood, LOWEST to HIGHEST.

    Photos that no temperature can help (a true count above max_count, or of probability 0) do not
    take part.

    Args:
        log_probs: float (N, K), as the model gives them.
        counts: int (N,), true counts.

    Raises:
        DataError: if no photo can take part.
    """
    known = counts < log_probs.shape[1]
    rows = np.asarray(log_probs, dtype=np.float64)[known]
    truth = counts[known]
    possible = np.isfinite(rows[np.arange(len(truth)), truth])
    rows, truth = rows[possible], truth[possible]
    if not len(truth):
        raise DataError(
            f"no temperature can be fitted: of {len(counts)} photos none has a true count that the"
            f" model holds possible (0 to {log_probs.shape[1] - 1}); calibrate on more photos"
        )
    places = np.arange(len(truth))

    def loss(log_temperature: float) -> float:
        scaled = with_temperature(rows, math.exp(log_temperature))
        return float(-scaled[places, truth].mean())

    return math.exp(_lowest(loss, math.log(LOWEST), math.log(HIGHEST)))


def _lowest(function: Callable[[float], float], low: float, high: float) -> float:
    """Where a function with one valley is lowest: golden-section search.

    The loss is convex in 1/temperature, so it has one valley over log temperature as well.
    """
    ratio = (math.sqrt(5) - 1) / 2
    left, right = high - ratio * (high - low), low + ratio * (high - low)
    at_left, at_right = function(left), function(right)
    while high - low > TOLERANCE:
        if at_left <= at_right:
            high, right, at_right = right, left, at_left
            left = high - ratio * (high - low)
            at_left = function(left)
        else:
            low, left, at_left = left, right, at_right
            right = low + ratio * (high - low)
            at_right = function(right)
    return (low + high) / 2
