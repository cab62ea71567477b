"""Negative binomial: a Poisson rate that is not quite known; cut off above the last count.

The form NB2 of Cameron and Trivedi 2013, "Regression Analysis of Count Data", section 3.3:
variance = mean + mean^2 / size.
"""

import torch
from torch import nn
from torch.nn import functional

from stocktake.vision.heads import heads

SIZES = (-4.0, 8.0)
"""Ends of the log of `size`: below, all is in the tail; above, it is a Poisson distribution."""
LOG_MEANS = (-12.0, 12.0)
"""Ends of the log of the mean; counts of bins are far inside."""


@heads.add("negative-binomial")
def negative_binomial(*, features: int, max_count: int) -> nn.Module:
    """A mean and a size per photo; wider than Poisson, for counts that vary more."""
    return NegativeBinomialHead(features, max_count)


class NegativeBinomialHead(nn.Module):
    """Linear log-mean and log-size; probabilities of 0..max_count, made to sum to 1."""

    counts: torch.Tensor
    log_factorials: torch.Tensor

    def __init__(self, features: int, max_count: int) -> None:
        super().__init__()
        self.both = nn.Linear(features, 2)
        start = torch.log(torch.tensor([(max_count + 1) / 2, 20.0]))
        with torch.no_grad():
            self.both.bias.copy_(start)
        counts = torch.arange(max_count + 1, dtype=torch.float32)
        self.register_buffer("counts", counts, persistent=False)
        self.register_buffer("log_factorials", torch.lgamma(counts + 1), persistent=False)

    def forward(self, features: torch.Tensor) -> torch.Tensor:
        """log_probs (B, K) from features (B, D)."""
        log_mean, log_size = self.both(features).split(1, dim=1)  # (B, 1) each
        log_mean, log_size = log_mean.clamp(*LOG_MEANS), log_size.clamp(*SIZES)
        # Gamma(count + size) / Gamma(size) as a product: ONNX has no lgamma
        steps = torch.log(log_size.exp() + self.counts[:-1])  # (B, K-1)
        rising = functional.pad(steps.cumsum(dim=1), (1, 0))  # (B, K)
        of_mean = -functional.softplus(log_size - log_mean)  # log(mean / (mean + size))
        return torch.log_softmax(rising + self.counts * of_mean - self.log_factorials, dim=1)
