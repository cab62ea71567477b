import torch

from stocktake.vision.heads.cumulative import cumulative


def test_probabilities_are_differences_of_sigmoids():
    head = cumulative(features=2, max_count=3)
    with torch.no_grad():
        head.score.weight.zero_()
        head.score.bias.fill_(0.3)
        head.first.fill_(-1.0)
        head.gaps.fill_(torch.log(torch.expm1(torch.tensor(1.5 - 1e-3))))  # thresholds -1, 0.5, 2
    probs = head(torch.zeros(1, 2)).exp()[0]

    more = torch.sigmoid(0.3 - torch.tensor([-1.0, 0.5, 2.0]))
    wanted = torch.cat([1 - more[:1], more[:-1] - more[1:], more[-1:]])
    assert torch.allclose(probs, wanted, atol=1e-5)


def test_a_higher_score_never_makes_fewer_things_likelier():
    head = cumulative(features=1, max_count=6)
    with torch.no_grad():
        head.score.weight.fill_(1.0)
    probs = head(torch.linspace(-9, 9, 50)[:, None]).exp()
    means = probs @ torch.arange(7.0)

    assert (means.diff() > 0).all()


def test_thresholds_stay_in_order_whatever_is_learnt():
    head = cumulative(features=1, max_count=5)
    with torch.no_grad():
        head.gaps.fill_(-50.0)

    assert torch.isfinite(head(torch.zeros(1, 1))).all()
