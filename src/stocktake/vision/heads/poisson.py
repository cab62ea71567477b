"""Poisson: a rate per photo, as counts of independent things have it; cut off above the last count.

Cameron and Trivedi 2013, "Regression Analysis of Count Data", sections 3.2 and 4.3.
"""

import torch
from torch import nn

from stocktake.vision.heads import heads


@heads.add("poisson")
def poisson(*, features: int, max_count: int) -> nn.Module:
    """One rate; its spread follows from it, which is wide: the variance is the mean."""
    return PoissonHead(features, max_count)


class PoissonHead(nn.Module):
    """Linear log-rate; probabilities of 0..max_count, made to sum to 1."""

    counts: torch.Tensor
    log_factorials: torch.Tensor

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.log_rate = nn.Linear(features, 1)
        nn.init.constant_(self.log_rate.bias, float(torch.log(torch.tensor((max_count + 1) / 2))))
        counts = torch.arange(max_count + 1, dtype=torch.float32)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("log_factorials", torch.lgamma(counts + 1), persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        # the factor exp(-rate) is the same for all counts and falls out
        return torch.log_softmax(self.log_rate(features) * self.counts - self.log_factorials, dim=1)
