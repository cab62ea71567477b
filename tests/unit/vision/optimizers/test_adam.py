import torch
from torch import nn

from stocktake.vision.optimizers import optimizers


def test_decay_shrinks_matrices_and_spares_vectors():
    matrix, vector = nn.Parameter(torch.ones(2, 2)), nn.Parameter(torch.ones(2))
    groups = [{"params": [matrix]}, {"params": [vector], "weight_decay": 0.0}]
    optimizer = optimizers.make({"name": "adamw", "lr": 0.1, "weight_decay": 0.5}, groups=groups)
    for parameter in (matrix, vector):
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()

    assert torch.allclose(matrix, torch.full((2, 2), 0.95))
    assert torch.equal(vector, torch.ones(2))


def test_settings_reach_the_optimizer():
    groups = [{"params": [nn.Parameter(torch.ones(1))]}]
    made = optimizers.make({"name": "adam", "lr": 0.00228556}, groups=groups)

    assert made.param_groups[0]["lr"] == 0.00228556
