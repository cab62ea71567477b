"""Cosine: rises in a straight line, falls as half a cosine (Loshchilov and Hutter 2016)."""

import math

from stocktake.vision.schedules import Schedule, schedules


@schedules.add("cosine")
def cosine(*, warmup: float = 0.05, floor: float = 0.01) -> Schedule:
    """Linear warm-up, then half a cosine down to the floor.

    Args:
        warmup: share of all steps spent rising, 0 to under 1.
        floor: factor at the last step, 0 to 1.
    """
    if not 0 <= warmup < 1 or not 0 <= floor <= 1:
        raise ValueError(f"warmup {warmup} must be 0 to under 1 and floor {floor} 0 to 1")

    def factor(step: int, steps: int) -> float:
        rising = round(warmup * steps)
        if step < rising:
            return (step + 1) / (rising + 1)
        way = (step - rising) / max(steps - rising - 1, 1)
        return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * min(way, 1.0)))

    return factor
