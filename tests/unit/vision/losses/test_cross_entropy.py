import math

import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.vision.losses import losses

EVEN = torch.log(torch.tensor([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))


def test_it_is_the_mean_of_minus_log_probability():
    value = losses.make("cross-entropy")(EVEN, torch.tensor([0, 1]))

    assert math.isclose(value.item(), -(math.log(0.5) + math.log(0.8)) / 2, rel_tol=1e-6)


def test_smoothing_agrees_with_torch():
    counts = torch.tensor([2, 1])
    mine = losses.make({"name": "cross-entropy", "label_smoothing": 0.1})(EVEN, counts)
    torchs = torch.nn.functional.cross_entropy(EVEN, counts, label_smoothing=0.1)

    assert torch.isclose(mine, torchs)


def test_smoothing_everything_away_is_refused():
    with pytest.raises(SettingsError, match="label_smoothing must be 0 to under 1"):
        losses.make({"name": "cross-entropy", "label_smoothing": 1.0})
