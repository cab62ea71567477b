"""None: photos as they are."""

import torch

from stocktake.vision.augments import Augment, augments


@augments.add("none")
def none() -> Augment:
    """No change; for linear probes and for finding faults."""
    return _same


def _same(photos: torch.Tensor, chance: torch.Tensor) -> torch.Tensor:
    return photos
