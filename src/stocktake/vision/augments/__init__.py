"""Augments: photos float32 (B, 3, H, W) on the scale 0 to 1 -> the same, changed at random. One
file each.

A part is a function `(*, ...options) -> Augment`. It is handed photos that it may overwrite and
chance float32 (B, 16), for each photo 16 random numbers in [0, 1) (see vision/order.py). All chance
comes from them, a photo's from its own row alone, so that it comes out the same in whatever batch
it is. What a part does must not change the count.
"""

from collections.abc import Callable

import torch

from stocktake.parts import Shelf

Augment = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

augments: Shelf[Augment] = Shelf("augment", package=__name__)
