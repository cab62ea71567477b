import torch

from stocktake.vision.heads.corn import corn


def test_probabilities_are_the_product_of_the_answers():
    head = corn(features=3, max_count=3)
    with torch.no_grad():
        head.more.weight.zero_()
        head.more.bias.copy_(torch.logit(torch.tensor([0.9, 0.5, 0.2])))
    probs = head(torch.zeros(1, 3)).exp()[0]

    wanted = torch.tensor([0.1, 0.9 * 0.5, 0.9 * 0.5 * 0.8, 0.9 * 0.5 * 0.2])
    assert torch.allclose(probs, wanted, atol=1e-6)


def test_certain_answers_stay_finite():
    head = corn(features=1, max_count=9)
    with torch.no_grad():
        head.more.weight.fill_(1e6)

    for sign in (-1.0, 1.0):
        log_probs = head(torch.full((1, 1), sign))
        assert torch.isfinite(log_probs).all()
        assert log_probs.argmax().item() == (9 if sign > 0 else 0)
