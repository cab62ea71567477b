"""Report: mirrored, brighter or darker, with more or less contrast."""

import torch

from stocktake.vision.augments import Augment, augments


@augments.add("report")
def report(*, brightness: float = 0.2, contrast: float = 0.2) -> Augment:
    """Horizontal flips, brightness and contrast.

    Args:
        brightness: largest change of the factor on all pixels, 0 to 1.
        contrast: largest change of the factor around the photo's mean, 0 to 1.
    """

    def augment(photos: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        return relit(flipped(photos, generator), generator, brightness, contrast)

    return augment


def flipped(photos: torch.Tensor, generator: torch.Generator, dim: int = 3) -> torch.Tensor:
    """Half of the photos mirrored along `dim`: 3 left-right, 2 upside down."""
    mirror = torch.rand(len(photos), generator=generator) < 0.5  # (B,)
    return torch.where(mirror[:, None, None, None], photos.flip(dim), photos)


def relit(
    photos: torch.Tensor, generator: torch.Generator, brightness: float, contrast: float
) -> torch.Tensor:
    """Photos with brightness and contrast changed by factors of 1 +- the given shares."""
    change = torch.rand(2, len(photos), 1, 1, 1, generator=generator) * 2 - 1  # (2, B, 1, 1, 1)
    mean = photos.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    factor = 1 + contrast * change[0]
    # (p - mean) * contrast + mean, then * brightness, as one multiply and one add over the pixels
    light = 1 + brightness * change[1]
    return (photos * (factor * light) + mean * (1 - factor) * light).clamp_(0, 1)
