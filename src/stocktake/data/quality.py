"""Quality: how sharp and how well exposed the photos are, and which are the worst."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.data.looks import BRIGHT, DARK, SIDE_PX, Look
from stocktake.data.summaries import SHOWN, measured, rounded

CLIPPED = 0.1
"""A photo is badly clipped when more than this share of it is black, or white."""
FAR_FROM_MEDIAN = 4
"""Sharpness and luma of a photo are far low below the median divided by this."""


def of_looks(looks: Sequence[Look]) -> dict[str, Any]:
    """Sharpness and exposure of N photos, with the most blurred, darkest and brightest of them.

    The lists hold the worst of these photos, however good they are; `blurred`, `too_dark` and
    `photos_over` say how many are bad.
    """
    ids = [look.photo_id for look in looks]
    sharpness, luma, contrast, dark, bright = (
        np.array([getattr(look, name) for look in looks], dtype=np.float64)
        for name in ("sharpness", "luma", "contrast", "dark", "bright")
    )
    return {
        "photos": len(looks),
        "side_px": SIDE_PX,
        "sharpness": measured(sharpness, has_tail=True),
        "luma": measured(luma),
        "contrast": measured(contrast),
        "dark": {"luma_to": DARK, **measured(dark, has_tail=True), **_clipped(dark)},
        "bright": {"luma_from": BRIGHT, **measured(bright, has_tail=True), **_clipped(bright)},
        "blurred": _far_below(sharpness),
        "too_dark": _far_below(luma),
        "most_blurred": _worst(ids, sharpness, name="sharpness"),
        "darkest": _worst(ids, luma, name="luma"),
        "most_burnt": [one for one in _worst(ids, -bright, name="bright") if one["bright"]],
    }


def _clipped(shares: NDArray[np.float64]) -> dict[str, Any]:
    return {"over": CLIPPED, "photos_over": int((shares > CLIPPED).sum())}


def _far_below(values: NDArray[np.float64]) -> dict[str, Any]:
    """Photos far below the median, and where that begins."""
    if not len(values):
        return {"below": None, "photos": 0}
    limit = float(np.median(values)) / FAR_FROM_MEDIAN
    return {"below": rounded(limit), "photos": int((values < limit).sum())}


def _worst(ids: Sequence[str], values: NDArray[np.float64], *, name: str) -> list[dict[str, Any]]:
    order = np.argsort(values, kind="stable")[:SHOWN]
    return [{"photo_id": ids[i], name: rounded(abs(values[i]))} for i in order]
