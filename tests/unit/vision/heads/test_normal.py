import torch

from stocktake.vision.heads.normal import LEAST_SPREAD, normal


def test_probabilities_are_a_bell_around_the_estimate():
    head = normal(features=2, max_count=4)
    with torch.no_grad():
        head.both.weight.zero_()
        head.both.bias.copy_(torch.tensor([0.5, 0.1]))  # estimate 2.5
    probs = head(torch.zeros(1, 2)).exp()[0]

    spread = LEAST_SPREAD + torch.nn.functional.softplus(torch.tensor(0.6))
    bell = torch.exp(-((torch.arange(5.0) - 2.5) ** 2) / (2 * spread**2))
    assert torch.allclose(probs, bell / bell.sum(), atol=1e-5)


def test_it_has_one_peak():
    head = normal(features=3, max_count=12)
    log_probs = head(torch.randn(40, 3, generator=torch.Generator().manual_seed(1)) * 5)
    rising = (log_probs.diff(dim=1) > 0).int()

    assert (rising.diff(dim=1) <= 0).all(), "once it falls it never rises again"
