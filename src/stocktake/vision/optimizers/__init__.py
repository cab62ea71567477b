"""Optimizers: parameter groups -> a torch optimizer. One file each.

A part is a function `(*, groups: Groups, ...options) -> Optimizer`; the house gives the groups
(norms and biases come with weight_decay 0) and scales each group's rate over time by the schedule.
"""

from typing import Any

from torch.optim import Optimizer

from stocktake.parts import Shelf

Groups = list[dict[str, Any]]

optimizers: Shelf[Optimizer] = Shelf("optimizer", package=__name__)
