"""Occlusion: where the model looked, by covering a photo's parts one after the other.

The map holds how much the log-probability of the answered count falls when a part is covered with
the photo's mean colour (Zeiler and Fergus 2014, https://arxiv.org/abs/1311.2901, section 4.2). It
needs no gradient, so no torch, and works for every model; it costs one look a part.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

PARTS = 7
"""Parts along each side of a map."""
COVER = 2
"""Side of the covering square in parts: neighbours overlap, so things on a border are found."""
BATCH = 16
"""Covered photos looked at together."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Map:
    """Where the model looked."""

    count: int
    """The count that the map is of."""
    falls: NDArray[np.float64]
    """(PARTS, PARTS), 0 to 1: how much the answer depends on each part; all 0 if on none."""
    most: float
    """Largest fall of the log-probability, in nats: what 1 stands for."""


def occlusion_map(
    photo: NDArray[np.uint8],
    count: int,
    log_probs_of: Callable[[NDArray[np.uint8]], NDArray[np.float32]],
) -> Map:
    """The map of one prepared photo.

    Args:
        photo: uint8 (S, S, 3).
        count: the count asked about.
        log_probs_of: photos uint8 (B, S, S, 3) -> log-probabilities (B, K).
    """
    side = photo.shape[0]
    edges = np.linspace(0, side, PARTS + 1).round().astype(int)
    mean = photo.mean(axis=(0, 1)).round().astype(np.uint8)
    spots = [(y, x) for y in range(PARTS) for x in range(PARTS)]
    covered = np.repeat(photo[None], len(spots) + 1, axis=0)  # the last one stays whole
    reach = (COVER - 1) / 2
    for one, (y, x) in zip(covered, spots, strict=False):
        rows = slice(*_stretched(edges, y, reach))
        columns = slice(*_stretched(edges, x, reach))
        one[rows, columns] = mean
    log_probs = np.concatenate(
        [log_probs_of(covered[start : start + BATCH]) for start in range(0, len(covered), BATCH)]
    )[:, count].astype(np.float64)
    falls = (log_probs[-1] - log_probs[:-1]).clip(min=0).reshape(PARTS, PARTS)
    most = float(falls.max())
    return Map(count=count, falls=falls / most if most > 0 else falls, most=most)


def _stretched(edges: NDArray[np.int64], part: int, reach: float) -> tuple[int, int]:
    """First and last pixel of a part, stretched to both sides by `reach` parts."""
    wide = edges[part + 1] - edges[part]
    low, high = edges[part] - reach * wide, edges[part + 1] + reach * wide
    return max(0, round(low)), min(int(edges[-1]), round(high))
