"""Adam and AdamW: Kingma and Ba 2014; Loshchilov and Hutter 2017."""

import torch
from torch.optim import Optimizer

from stocktake.vision.optimizers import Groups, optimizers


@optimizers.add("adamw")
def adamw(
    *, groups: Groups, lr: float = 1e-3, weight_decay: float = 0.02, beta2: float = 0.999
) -> Optimizer:
    """Adam with decoupled weight decay.

    Args:
        groups: parameter groups from the house.
        lr: highest learning rate, above 0.
        weight_decay: decay per step, times the rate; 0 or more.
        beta2: memory of squared gradients, 0 to under 1.
    """
    return torch.optim.AdamW(
        groups, lr=lr, weight_decay=weight_decay, betas=(0.9, beta2), fused=True
    )


@optimizers.add("adam")
def adam(*, groups: Groups, lr: float = 1e-3, weight_decay: float = 0.0) -> Optimizer:
    """Adam, its decay part of the gradient.

    Args:
        groups: parameter groups from the house.
        lr: highest learning rate, above 0.
        weight_decay: L2 penalty, 0 or more.
    """
    return torch.optim.Adam(groups, lr=lr, weight_decay=weight_decay, fused=True)
