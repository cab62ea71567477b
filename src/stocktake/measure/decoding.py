"""Decoding: how a distribution over counts becomes one count."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError, nearest
from stocktake.measure import metrics

DECODINGS = ("mode", "median", "mean", "window")
"""The mode is right most often, the median has the least absolute error, the mean the least squared
one, the window is within one most often: for the model's own distribution each is optimal (textbook
decision theory). Which is best on photos is a question for photos; see `best_for`."""

OWN = {
    "mode": ("accuracy",),
    "median": ("mae",),
    "mean": ("rmse", "within_one"),
    "window": ("within_one",),
}
"""The figures that each way is looked at for."""

FIGURES = {
    "accuracy": metrics.accuracy,
    "within_one": metrics.within_one,
    "rmse": metrics.rmse,
    "mae": metrics.mae,
}
"""What a decoding can be chosen for."""
HIGHER_IS_BETTER = ("accuracy", "within_one")

AS_GOOD = 1e-6
"""Windows that differ by less hold as much: the likelier count in the middle decides."""


def decode(log_probs: NDArray[Any], how: str = "mode") -> NDArray[np.int64]:
    """One count per photo, int64 (N,); never one whose log-probability is -inf.

    Args:
        log_probs: float (N, K).
        how: mode (the lowest of equals); median; mean, rounded to the nearest possible count; or
            window, the count that has most probability on itself and its two neighbours.

    Raises:
        DataError: for an unknown way, with the nearest name.
    """
    if how not in DECODINGS:
        raise DataError(f"counts cannot be decoded by '{how}'; {nearest(how, DECODINGS)}")
    if how == "mode":
        return np.asarray(log_probs).argmax(axis=1)
    probabilities = np.exp(np.asarray(log_probs, dtype=np.float64))  # (N, K)
    probabilities /= probabilities.sum(axis=1, keepdims=True)
    if how == "median":
        # Half is reached up to rounding; argmax finds the first place where it is.
        return (probabilities.cumsum(axis=1) >= 0.5 - 1e-9).argmax(axis=1)
    is_impossible = np.isneginf(log_probs)
    if how == "mean":
        counts = np.arange(probabilities.shape[1])
        off = np.abs(counts - (probabilities @ counts)[:, None])  # (N, K)
        off[is_impossible] = np.inf
        return len(counts) - 1 - off[:, ::-1].argmin(axis=1)  # from above: 2.5 becomes 3
    fenced = np.pad(probabilities, ((0, 0), (1, 1)))
    held = fenced[:, :-2] + fenced[:, 1:-1] + fenced[:, 2:] + AS_GOOD * probabilities  # (N, K)
    held[is_impossible] = -1
    return held.argmax(axis=1)


def best_for(metric: str, log_probs: NDArray[Any], counts: NDArray[Any]) -> dict[str, float]:
    """The figure under each way to decode on these photos, the best way first.

    Of equals the one named first in DECODINGS comes first. Choose on photos that are not judged
    later: the best of four is a little lucky where it was chosen.

    Args:
        metric: one of FIGURES.
        log_probs: float (N, K), calibrated.
        counts: int (N,), true counts.

    Raises:
        DataError: for an unknown metric, or if there are no photos.
    """
    if metric not in FIGURES:
        raise DataError(f"no decoding can be chosen for '{metric}'; {nearest(metric, FIGURES)}")
    found = {how: FIGURES[metric](decode(log_probs, how), counts) for how in DECODINGS}
    sign = -1 if metric in HIGHER_IS_BETTER else 1
    return dict(sorted(found.items(), key=lambda item: sign * item[1]))
