"""CORN: an ordinal head that asks, count by count, "is it more than that?".

Shi, Cao, Raschka 2021, https://arxiv.org/abs/2111.08851. With the log-probabilities multiplied
out, the paper's loss over conditional subsets is the plain cross-entropy, so any loss of the shelf
will do.
"""

import torch
from torch import nn

from stocktake.vision.heads import heads


@heads.add("corn")
def corn(*, features: int, max_count: int) -> nn.Module:
    """Chain of questions "more than k, given at least k?"; learns that counts are ordered."""
    return CornHead(features, max_count)


class CornHead(nn.Module):
    """Linear layer with K - 1 conditional logits."""

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.more = nn.Linear(features, max_count)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        more = self.more(features)  # (B, K-1), logit of count > k given count >= k
        reached = torch.cumsum(nn.functional.logsigmoid(more), dim=1)  # (B, K-1), log P(count > k)
        none = torch.zeros_like(reached[:, :1])  # (B, 1), log P(count >= 0)
        stop = nn.functional.logsigmoid(-more)  # (B, K-1), log P(count = k | count >= k)
        return torch.cat([none, reached], dim=1) + torch.cat([stop, none], dim=1)  # (B, K)
