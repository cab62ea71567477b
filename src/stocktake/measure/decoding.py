"""Decoding: how a distribution over counts becomes one count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError, nearest

DECODINGS = ("mode", "median", "mean")
"""The mode is right most often, the median has the least absolute error, the mean the least squared
one: for the model's own distribution each is optimal (textbook decision theory)."""


def decode(log_probs: NDArray[Any], how: str = "mode") -> NDArray[np.int64]:
    """One count per photo, int64 (N,).

    Args:
        log_probs: float (N, K).
        how: mode (the lowest of equals), median, or mean rounded to a whole count.

    Raises:
        DataError: for an unknown way, with the nearest name.
    """
    if how == "mode":
        return np.asarray(log_probs).argmax(axis=1)
    probabilities = np.exp(np.asarray(log_probs, dtype=np.float64))
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if how == "median":
        # Half is reached up to rounding; argmax finds the first place where it is.
        return (probabilities.cumsum(axis=1) >= 0.5 - 1e-9).argmax(axis=1)
    if how == "mean":
        means = probabilities @ np.arange(probabilities.shape[1])
        return np.floor(means + 0.5).astype(np.int64)  # numpy's rint sends 2.5 to 2
    raise DataError(f"counts cannot be decoded by '{how}'; {nearest(how, DECODINGS)}")
