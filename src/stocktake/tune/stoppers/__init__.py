"""Stoppers: a trial's values so far, earlier trials' values -> whether to stop. One file each.

A part is a function `(*, direction, ...options) -> Stopper`; direction is "minimize" or
"maximize". A stopper is pure and is asked after every epoch.
"""

from collections.abc import Callable, Sequence

from stocktake.parts import Shelf

History = Sequence[float]
"""The metric after each epoch, from the first epoch on."""

Stopper = Callable[[History, Sequence[History]], bool]

stoppers: Shelf[Stopper] = Shelf("stopper", package=__name__)
