"""Summaries: many values in a few figures and a histogram, as plain data for a JSON file."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 20
"""Bars of a histogram of something measured; whole numbers below SINGLE_TO get one each."""
SINGLE_TO = 30
SHOWN = 100
"""Photo ids listed at most; the number beside them is of all."""
TAIL_PERCENT = 99.0
"""Where values have a long tail, the last bar begins here and takes all that lies above."""
FENCE_IQR = 1.5
"""Tukey's fence: so many interquartile ranges beyond the quartiles (Tukey 1977)."""


def measured(values: NDArray[Any], *, has_tail: bool = False) -> dict[str, Any]:
    """Summary and histogram of something measured; the histogram has BINS equal bars.

    Where all values are the same, the histogram is one bar without a width.

    Args:
        values: any number of numbers.
        has_tail: let the bars end at the 99th percentile; the last one takes what lies above,
            `beyond` says how many these are.
    """
    if not len(values):
        return {"n": 0}
    low, middle, high = np.percentile(values, [5, 50, 95])
    end = np.percentile(values, TAIL_PERCENT) if has_tail else values.max()
    if values.min() == end:  # NumPy would make room around it
        photos, edges = np.array([len(values)]), np.array([end, end])
    else:
        photos, edges = np.histogram(np.minimum(values, end), bins=BINS)
    histogram = {"edges": [rounded(edge) for edge in edges], "photos": photos.tolist()}
    if has_tail:
        histogram["beyond"] = int((values > end).sum())
    return {
        "n": len(values),
        "min": rounded(values.min()),
        "p5": rounded(low),
        "median": rounded(middle),
        "mean": rounded(values.mean()),
        "p95": rounded(high),
        "max": rounded(values.max()),
        "histogram": histogram,
    }


def whole(values: NDArray[np.int64]) -> dict[str, Any]:
    """Summary of whole numbers, with how often each occurs; large ones are gathered."""
    if not len(values):
        return {"n": 0}
    often = Counter(np.minimum(values, SINGLE_TO).tolist())
    times = {
        f"{value}+" if value == SINGLE_TO else str(value): n for value, n in sorted(often.items())
    }
    return {
        "n": len(values),
        "min": int(values.min()),
        "median": rounded(np.median(values)),
        "mean": rounded(values.mean()),
        "max": int(values.max()),
        "times": times,
    }


def upper_fence(values: NDArray[Any]) -> float | None:
    """Value above which others of the same kind are far out; None for fewer than 4 values.

    Tukey's fence on the logarithm: sizes and amounts spread by factors, not by sums. Values of 0
    and less have no logarithm and are left out.
    """
    logs = np.log(values[values > 0])
    if len(logs) < 4:
        return None
    low, high = np.percentile(logs, [25, 75])
    return rounded(np.exp(high + FENCE_IQR * (high - low)))


def listed(photo_ids: Sequence[Any]) -> dict[str, Any]:
    """How many photos, and the first of them."""
    return {"photos": len(photo_ids), "shown": list(photo_ids[:SHOWN])}


def rounded(value: Any) -> float:
    """A figure with four decimals, as a plain float."""
    return round(float(value), 4)
