"""Losses: (log_probs (B, K), counts (B,)) -> mean loss, a scalar. One file each.

A part is a function `(*, ...options) -> Loss`. Counts are int64 within 0..K-1.
"""

from collections.abc import Callable

import torch

from stocktake.parts import Shelf

Loss = Callable[[torch.Tensor, torch.Tensor], torch.Tensor]

losses: Shelf[Loss] = Shelf("loss", package=__name__)
