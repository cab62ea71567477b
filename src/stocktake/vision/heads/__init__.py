"""Heads: features (B, D) -> log-probabilities over counts (B, K). One file each.

A part is a function `(*, features: int, max_count: int, ...options) -> nn.Module`; the house gives
D and max_count = K - 1. What comes out is always the log of a distribution over counts
0..max_count.
"""

from torch import nn

from stocktake.parts import Shelf

heads: Shelf[nn.Module] = Shelf("head", package=__name__)
