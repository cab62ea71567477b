"""Softmax: every count is a class of its own."""

import torch
from torch import nn

from stocktake.vision.heads import heads


@heads.add("softmax")
def softmax(*, features: int, max_count: int) -> nn.Module:
    """One linear layer and a softmax over counts; knows nothing of their order."""
    return SoftmaxHead(features, max_count)


class SoftmaxHead(nn.Module):
    """Linear layer with log-softmax."""

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.logits = nn.Linear(features, max_count + 1)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        return torch.log_softmax(self.logits(features), dim=1)
