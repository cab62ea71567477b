"""Augments: photos float32 (B, 3, H, W) on the scale 0 to 1 -> the same, changed at random. One
file each.

A part is a function `(*, ...options) -> Augment`; all chance comes from the generator it is
handed. What it does must not change the count.
"""

from collections.abc import Callable

import torch

from stocktake.parts import Shelf

Augment = Callable[[torch.Tensor, torch.Generator], torch.Tensor]

augments: Shelf[Augment] = Shelf("augment", package=__name__)
