"""Cumulative: one number per photo, "how full", and ordered thresholds between the counts.

The proportional odds model of McCullagh 1980, "Regression Models for Ordinal Data", equation 2.3.
"""

import torch
from torch import nn
from torch.nn import functional

from stocktake.vision.heads import heads

LEAST_GAP = 1e-3
"""Smallest distance of two thresholds: at 0 a count between them would have no probability."""


@heads.add("cumulative")
def cumulative(*, features: int, max_count: int) -> nn.Module:
    """A single score against K - 1 rising thresholds; few parameters, for little data."""
    return CumulativeHead(features, max_count)


class CumulativeHead(nn.Module):
    """Linear score and thresholds; sigmoid(score - threshold k) is the chance of more than k."""

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.score = nn.Linear(features, 1)
        self.first = nn.Parameter(torch.tensor([(1 - max_count) / 2]))
        one = torch.log(torch.expm1(torch.tensor(1.0)))  # softplus of it is 1
        self.gaps = nn.Parameter(one.repeat(max_count - 1))

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        gaps = functional.softplus(self.gaps) + LEAST_GAP  # (K-2,)
        thresholds = self.first + functional.pad(gaps.cumsum(dim=0), (1, 0))  # (K-1,)
        above = self.score(features) - thresholds  # (B, K-1), logit of count > k
        lowest, highest = functional.logsigmoid(-above[:, :1]), functional.logsigmoid(above[:, -1:])
        # log(sigmoid(a) - sigmoid(b)) for a > b, without the difference of two near ones
        between = functional.logsigmoid(above[:, :-1]) + functional.logsigmoid(-above[:, 1:])
        between = between + torch.log(-torch.expm1(-gaps))  # (B, K-2)
        return torch.cat([lowest, between, highest], dim=1)  # (B, K)
