import torch

from stocktake.vision import priors
from stocktake.vision.losses import losses

TALLY = {"0": 10, "1": 80, "3": 9}
LOG_PROBS = torch.log_softmax(torch.tensor([[0.3, 1.0, -0.5, 0.2], [0.0, 0.0, 0.0, 0.0]]), dim=1)
COUNTS = torch.tensor([1, 3])


def test_without_strength_the_loss_is_itself():
    loss = losses.make("cross-entropy")

    assert priors.adjusted(loss, TALLY, max_count=3, strength=0.0) is loss


def test_the_mix_is_added_before_the_loss():
    loss = priors.adjusted(losses.make("cross-entropy"), TALLY, max_count=3, strength=1.0)
    weighted = LOG_PROBS.exp() * torch.tensor([10.0, 80.0, 1.0, 9.0])
    wanted = -(weighted / weighted.sum(dim=1, keepdim=True)).log()[[0, 1], COUNTS].mean()

    assert torch.allclose(loss(LOG_PROBS, COUNTS), wanted)


def test_at_full_strength_even_answers_are_best_where_photos_tell_nothing():
    loss = priors.adjusted(
        losses.make("cross-entropy"), {"0": 30, "1": 10}, max_count=1, strength=1
    )
    counts = torch.tensor([0, 0, 0, 1])
    logits = torch.zeros(2, requires_grad=True)
    loss(torch.log_softmax(logits, dim=0).expand(4, 2), counts).backward()

    assert torch.allclose(logits.grad, torch.zeros(2), atol=1e-6)
