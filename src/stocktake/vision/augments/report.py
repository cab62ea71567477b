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

    def augment(photos: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
        return relit(flipped(photos, chance[:, 0]), chance[:, 1:3], brightness, contrast)

    return augment


def flipped(photos: torch.Tensor, chance: torch.Tensor, dim: int = 3) -> torch.Tensor:
    """Photos whose chance (B,) is below a half mirrored along `dim`: 3 left-right, 2 upside down.

    Overwrites the photos: copying those alone that turn is faster than choosing among two batches.
    """
    for place in torch.nonzero(chance < 0.5).flatten().tolist():
        photos[place] = photos[place].flip(dim - 1)
    return photos


def relit(
    photos: torch.Tensor, chance: torch.Tensor, brightness: float, contrast: float
) -> torch.Tensor:
    """Photos with brightness and contrast changed by factors of 1 +- the given shares.

    Overwrites the photos.

    Args:
        photos: (B, 3, H, W), 0 to 1.
        chance: (B, 2), 0 to 1: of contrast, of brightness.
        brightness: largest change of the factor on all pixels.
        contrast: largest change of the factor around the photo's mean.
    """
    change = (chance * 2 - 1)[:, :, None, None, None]  # (B, 2, 1, 1, 1)
    mean = photos.mean(dim=(1, 2, 3), keepdim=True)  # (B, 1, 1, 1)
    factor = 1 + contrast * change[:, 0]
    # (p - mean) * contrast + mean, then * brightness, as one multiply and one add over the pixels
    light = 1 + brightness * change[:, 1]
    return photos.mul_(factor * light).add_(mean * (1 - factor) * light).clamp_(0, 1)
