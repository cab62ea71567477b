import torch

from stocktake.vision.heads.negative_binomial import negative_binomial


def fixed(mean: float, size: float, max_count: int = 8) -> torch.Tensor:
    """Probabilities of a head that says this for every photo."""
    head = negative_binomial(features=2, max_count=max_count)
    with torch.no_grad():
        head.both.weight.zero_()
        head.both.bias.copy_(torch.log(torch.tensor([mean, size])))
    return head(torch.zeros(1, 2)).exp()[0].detach()


def test_probabilities_are_those_of_the_cut_distribution():
    mean, size = 3.0, 2.5
    whole = torch.distributions.NegativeBinomial(size, probs=torch.tensor(mean / (mean + size)))
    wanted = whole.log_prob(torch.arange(9.0)).exp()

    assert torch.allclose(fixed(mean, size), wanted / wanted.sum(), atol=1e-5)


def test_a_large_size_is_poisson_and_a_small_one_wider():
    near = torch.distributions.Poisson(3.0).log_prob(torch.arange(9.0)).exp()
    counts = torch.arange(9.0)

    def spread(probs: torch.Tensor) -> float:
        return float(probs @ counts**2 - (probs @ counts) ** 2)

    assert torch.allclose(fixed(3.0, 2900.0), near / near.sum(), atol=1e-3)
    assert spread(fixed(3.0, 1.0)) > spread(fixed(3.0, 2900.0))
