import copy

import pytest
import torch
from torch import nn

from stocktake.vision.averaging import Averaged


def moved(model: nn.Module, to: float) -> None:
    with torch.no_grad():
        for value in model.state_dict().values():
            value.fill_(to)


def test_the_average_follows_its_formula():
    model = nn.Linear(1, 1)
    moved(model, 0.0)
    averaged, mean = Averaged(model, decay=0.5), 0.0
    for step in range(20):
        moved(model, float(step))
        averaged.update()
        kept = min(0.5, (1 + step) / (10 + step))
        mean = kept * mean + (1 - kept) * step

    with averaged.shown():
        assert torch.allclose(model.weight, torch.tensor(mean))
    assert model.weight.item() == 19.0


def test_statistics_of_norms_are_averaged_and_their_number_of_batches_copied():
    model = nn.BatchNorm1d(2)
    averaged = Averaged(model, decay=0.9)
    for _ in range(4):
        model(torch.randn(8, 2) + 3)
        averaged.update()

    own = model.running_mean.clone()
    with averaged.shown():
        assert not torch.equal(model.running_mean, own)
        assert int(model.num_batches_tracked) == 4


def test_own_weights_come_back_after_an_error():
    model = nn.Linear(1, 1)
    averaged = Averaged(model, decay=0.9)
    moved(model, 2.0)
    with pytest.raises(ZeroDivisionError), averaged.shown():
        raise ZeroDivisionError

    assert model.weight.item() == 2.0


def test_it_goes_on_from_its_state():
    model = nn.Linear(1, 1)
    one, made = Averaged(model, decay=0.9), []
    one.update()
    moved(model, 1.0)
    state = copy.deepcopy(one.state())
    other = Averaged(model, decay=0.9)
    other.restore(state)
    for averaged in (one, other):
        averaged.update()
        with averaged.shown():
            made.append(model.weight.clone())

    assert torch.equal(*made)


@pytest.mark.parametrize("decay", [0.0, 1.0, -1.0])
def test_a_decay_that_is_none_is_refused(decay):
    with pytest.raises(ValueError, match="above 0 and under 1"):
        Averaged(nn.Linear(1, 1), decay=decay)
