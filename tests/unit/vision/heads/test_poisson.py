import torch

from stocktake.vision.heads.poisson import poisson


def test_probabilities_are_those_of_the_cut_distribution():
    head = poisson(features=2, max_count=4)
    with torch.no_grad():
        head.log_rate.weight.zero_()
        head.log_rate.bias.fill_(torch.log(torch.tensor(2.5)))
    probs = head(torch.zeros(1, 2)).exp()[0]

    whole = torch.distributions.Poisson(2.5).log_prob(torch.arange(5.0)).exp()
    assert torch.allclose(probs, whole / whole.sum(), atol=1e-6)


def test_it_begins_in_the_middle():
    head = poisson(features=3, max_count=9)

    assert head(torch.zeros(1, 3)).argmax().item() in (4, 5)
