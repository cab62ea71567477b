import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.vision.losses import losses


def said(count: int) -> torch.Tensor:
    return torch.log_softmax(3.0 * torch.nn.functional.one_hot(torch.tensor([count]), 7), dim=1)


def test_near_is_better_than_far():
    loss = losses.make({"name": "soft-labels", "sigma": 1.0})
    by_distance = [loss(said(3 + d), torch.tensor([3])).item() for d in range(4)]

    assert by_distance == sorted(by_distance)
    assert len(set(by_distance)) == 4


def test_a_narrow_bell_is_cross_entropy():
    narrow = losses.make({"name": "soft-labels", "sigma": 0.05})
    hard = losses.make("cross-entropy")

    assert torch.isclose(narrow(said(2), torch.tensor([4])), hard(said(2), torch.tensor([4])))


def test_a_neighbour_weighs_a_quarter_at_the_default():
    log_probs = torch.zeros(1, 7, requires_grad=True)
    losses.make("soft-labels")(log_probs, torch.tensor([3])).backward()
    weights = -log_probs.grad[0]

    assert 0.2 < (weights[2] / weights[3]).item() < 0.3
    assert torch.isclose(weights.sum(), torch.tensor(1.0))


def test_a_bell_without_width_is_refused():
    with pytest.raises(SettingsError, match="sigma must be above 0, got 0"):
        losses.make({"name": "soft-labels", "sigma": 0.0})
