"""Backbones: photos (B, 3, H, W) -> features (B, D). One file each.

A part is a function `(*, side_px: int, ...options) -> Backbone`; `side_px` comes from the house, 0
means the backbone's own. Its weights are random until `load_pretrained` or a file fills them.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
from torch import nn

from stocktake.parts import Shelf

State = Mapping[str, torch.Tensor]


@dataclass(frozen=True, kw_only=True)
class Backbone:
    """A made backbone and what it says of itself."""

    module: nn.Module
    """float32 (B, 3, side_px, side_px), normalised -> float32 (B, features)."""
    features: int
    """Width D of what comes out."""
    side_px: int
    """Side of the photos it wants."""
    mean: tuple[float, float, float]
    """Normalisation it was pretrained with, R, G, B on the scale 0 to 1."""
    std: tuple[float, float, float]
    """Normalisation it was pretrained with, R, G, B on the scale 0 to 1."""
    stages: tuple[tuple[str, ...], ...] = ()
    """Names of its parameters, group by group from the pixels on; what freezing counts in."""
    load_pretrained: Callable[[nn.Module], str] | None = None
    """Fills the module and says from where; SettingsError if the weights cannot be had."""
    adapt: Callable[[State], State] | None = None
    """Renames the keys of a foreign weights file and drops its classifier, for a strict load."""


backbones: Shelf[Backbone] = Shelf("backbone", package=__name__)
