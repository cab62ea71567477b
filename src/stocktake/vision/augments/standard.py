"""Standard: what a bin photo may well have looked like instead."""

import math

import torch
from torch.nn import functional

from stocktake.vision.augments import Augment, augments
from stocktake.vision.augments.report import relit


@augments.add("standard")
def standard(
    *,
    rotate_deg: float = 5.0,
    shift: float = 0.04,
    scale: float = 0.06,
    brightness: float = 0.15,
    contrast: float = 0.15,
) -> Augment:
    """Flips both ways, mild rotation, shift and scale, brightness and contrast.

    Args:
        rotate_deg: largest rotation either way, degrees.
        shift: largest shift either way, share of the side; mild, or items leave the photo.
        scale: largest change of size either way, share.
        brightness: largest change of the factor on all pixels, 0 to 1.
        contrast: largest change of the factor around the photo's mean, 0 to 1.
    """

    def augment(photos: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
        sizes = (math.radians(rotate_deg), shift * 2, shift * 2, scale)  # grid spans -1..1
        matrices = moves(chance[:, :6].T * 2 - 1, sizes)  # (B, 2, 3)
        grid = functional.affine_grid(matrices, list(photos.shape), align_corners=False)
        moved = functional.grid_sample(
            photos, grid, mode="bilinear", padding_mode="reflection", align_corners=False
        )
        return relit(moved, chance[:, 6:8], brightness, contrast)

    return augment


def moves(chance: torch.Tensor, sizes: tuple[float, float, float, float]) -> torch.Tensor:
    """One affine map per photo (B, 2, 3) from numbers in -1..1 (6, B), flips included."""
    angle, right, down, scale = (c * s for c, s in zip(chance[:4], sizes, strict=True))
    size = 1 + scale
    mirror, over = torch.where(chance[4] < 0, -1.0, 1.0), torch.where(chance[5] < 0, -1.0, 1.0)
    cos, sin = torch.cos(angle) * size, torch.sin(angle) * size
    top = torch.stack([cos * mirror, -sin * over, right], dim=1)
    low = torch.stack([sin * mirror, cos * over, down], dim=1)
    return torch.stack([top, low], dim=1)  # (B, 2, 3)
