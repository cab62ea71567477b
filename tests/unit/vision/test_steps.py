import numpy as np
import pytest
import torch
from torch import nn

from stocktake.errors import DataError
from stocktake.vision.batches import Batch
from stocktake.vision.steps import check_finite, parts_of, seed_step, set_rates


def batch(size: int) -> Batch:
    return Batch(
        [f"{i:03d}" for i in range(size)],
        torch.arange(size * 12.0).reshape(size, 3, 2, 2),
        torch.arange(size),
    )


def test_rates_follow_factor_and_scale():
    weight = nn.Parameter(torch.zeros(1))
    other = nn.Parameter(torch.zeros(1))
    groups = [{"params": [weight], "lr_scale": 0.1}, {"params": [other]}]
    optimizer = torch.optim.SGD(groups, lr=2.0)
    for factor in (0.5, 0.25):
        set_rates(optimizer, factor)

    assert np.allclose([g["lr"] for g in optimizer.param_groups], [0.05, 0.5])


@pytest.mark.parametrize("size", [1, 2, 7, 8])
@pytest.mark.parametrize("parts", [1, 2, 3, 20])
def test_parts_hold_the_whole_batch_once(size, parts):
    whole = batch(size)
    found = list(parts_of(whole, parts))

    assert len(found) == min(parts, size)
    assert sum((part.photo_ids for part, _ in found), []) == whole.photo_ids
    assert torch.equal(torch.cat([part.photos for part, _ in found]), whole.photos)
    assert torch.equal(torch.cat([part.counts for part, _ in found]), whole.counts)
    assert np.isclose(sum(weight for _, weight in found), 1)
    assert all(np.isclose(weight, len(part.counts) / size) for part, weight in found)


def test_neighbouring_steps_seeds_and_ranks_draw_differently():
    drawn = []
    with torch.random.fork_rng(devices=[]):
        for place in ((0, 0, 0), (0, 1, 0), (1, 0, 0), (0, 0, 1), (0, 0, 0)):
            seed_step(*place)
            drawn.append(float(torch.rand(())))

    assert drawn[0] == drawn[-1] and len(set(drawn)) == 4


def test_a_loss_that_is_no_number_names_a_whole_batch_but_not_thousands():
    check_finite(torch.tensor(1.0), 3, batch(2))
    with pytest.raises(DataError, match=r"at step 3 with the photos 000, .*063 and 6 more"):
        check_finite(torch.tensor(float("nan")), 3, batch(70))
    with pytest.raises(DataError, match="validation loss is inf in the batch of photo 000"):
        check_finite(torch.tensor(float("inf")), None, batch(2))
