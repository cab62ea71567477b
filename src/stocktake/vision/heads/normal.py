"""Normal: regression with a spread; a bell around the estimate, read off at whole counts.

With the spread held fast, cross-entropy is least squares but for the ends (Bishop 2006, "Pattern
Recognition and Machine Learning", section 3.1.1).
"""

import torch
from torch import nn
from torch.nn import functional

from stocktake.vision.heads import heads

LEAST_SPREAD = 0.2
"""Counts; a narrower bell says nothing more, its neighbours have under 4e-6 already."""


@heads.add("normal")
def normal(*, features: int, max_count: int) -> nn.Module:
    """An estimate and a spread per photo, both in counts; one peak, always."""
    return NormalHead(features, max_count)


class NormalHead(nn.Module):
    """Linear estimate and spread; probabilities of 0..max_count, made to sum to 1."""

    counts: torch.Tensor

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.both = nn.Linear(features, 2)
        self.middle = max_count / 2
        counts = torch.arange(max_count + 1, dtype=torch.float32)
        self.register_buffer("counts", counts, persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        away, width = self.both(features).split(1, dim=1)  # (B, 1) each
        estimate = self.middle + away
        spread = LEAST_SPREAD + functional.softplus(width + 0.5)  # at first about 1
        # squares of far estimates would overflow: what is left after the part that all share
        slope = self.counts * (2 * estimate - self.counts) / (2 * spread**2)
        return torch.log_softmax(slope, dim=1)
