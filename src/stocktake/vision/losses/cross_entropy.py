"""Cross-entropy: minus the log-probability of the true count."""

import torch
from torch.nn import functional

from stocktake.vision.losses import Loss, losses


@losses.add("cross-entropy")
def cross_entropy(*, label_smoothing: float = 0.0) -> Loss:
    """Minus the log-probability of the true count.

    Args:
        label_smoothing: share of the target spread evenly over all counts, 0 to under 1.
    """
    if not 0 <= label_smoothing < 1:
        raise ValueError(f"label_smoothing must be 0 to under 1, got {label_smoothing}")

    def loss(log_probs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        true = functional.nll_loss(log_probs, counts)
        if not label_smoothing:
            return true
        return (1 - label_smoothing) * true - label_smoothing * log_probs.mean()

    return loss
