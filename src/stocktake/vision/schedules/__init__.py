"""Schedules: (step, steps) -> factor on the learning rate, 0 to 1. One file each.

A part is a function `(*, ...options) -> Schedule`; a schedule is pure, so a resumed run needs no
state of it. `step` counts from 0 to steps - 1.
"""

from collections.abc import Callable

from stocktake.parts import Shelf

Schedule = Callable[[int, int], float]

schedules: Shelf[Schedule] = Shelf("schedule", package=__name__)
