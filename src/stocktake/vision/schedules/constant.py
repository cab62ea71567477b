"""Constant: the same learning rate throughout."""

from stocktake.vision.schedules import Schedule, schedules


@schedules.add("constant")
def constant() -> Schedule:
    """Factor 1 at every step."""
    return _one


def _one(step: int, steps: int) -> float:
    return 1.0
