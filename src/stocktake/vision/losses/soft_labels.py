"""Soft labels: a neighbour of the true count is half right, as the inventory record often is.

Diaz and Marathe 2019, "Soft Labels for Ordinal Regression", with squared distance.
"""

import torch

from stocktake.vision.losses import Loss, losses


@losses.add("soft-labels")
def soft_labels(*, sigma: float = 0.6) -> Loss:
    """Cross-entropy against a bell around the true count.

    Args:
        sigma: width of the bell in counts; at 0.6 a direct neighbour weighs a quarter of the truth.
    """
    if sigma <= 0:
        raise ValueError(f"sigma must be above 0, got {sigma}; take cross-entropy for hard labels")

    def loss(log_probs: torch.Tensor, counts: torch.Tensor) -> torch.Tensor:
        places = torch.arange(log_probs.shape[1], device=log_probs.device)
        distance = (places[None, :] - counts[:, None]).to(log_probs.dtype)  # (B, K)
        target = torch.softmax(-(distance**2) / (2 * sigma**2), dim=1)  # (B, K)
        return -(target * log_probs).sum(dim=1).mean()

    return loss
