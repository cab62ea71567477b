"""SGD with momentum."""

import torch
from torch.optim import Optimizer

from stocktake.vision.optimizers import Groups, optimizers


@optimizers.add("sgd")
def sgd(
    *, groups: Groups, lr: float = 0.02, momentum: float = 0.9, weight_decay: float = 1e-4
) -> Optimizer:
    """Stochastic gradient descent with Nesterov momentum.

    Args:
        groups: parameter groups from the house.
        lr: highest learning rate, above 0.
        momentum: 0 to under 1; 0 turns Nesterov off.
        weight_decay: L2 penalty, 0 or more.
    """
    return torch.optim.SGD(
        groups, lr=lr, momentum=momentum, weight_decay=weight_decay, nesterov=momentum > 0
    )
