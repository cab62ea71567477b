"""Heat maps: where in a photo a counter found its answer (Grad-CAM).

Selvaraju et al. 2017, "Grad-CAM: visual explanations from deep networks via gradient-based
localization". For the last feature map A (D, h, w) of the backbone and the log-probability y of a
count, each channel weighs as much as y rises with it on average, w_d = mean over places of
dy / dA_d, and the map is the positive part of the sum over channels of w_d A_d.
"""

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stocktake.vision.counter import Counter, Ensemble


def heatmaps(
    counter: Counter | Ensemble, photos: torch.Tensor, counts: torch.Tensor
) -> NDArray[np.float32] | None:
    """Heat maps float32 (B, h, w), each from 0 to 1 at its hottest place; all 0 where nothing
    speaks for the count. Of several counters the mean of their maps.

    Args:
        counter: in evaluation mode.
        photos: normalised, (B, 3, S, S).
        counts: for each photo the count whose log-probability is explained, int64 (B,).

    Returns:
        None if the backbone has no last feature map with places, as a transformer of tokens.
    """
    members = list(counter.members) if isinstance(counter, Ensemble) else [counter]
    found = [_of_one(member, photos, counts) for member in members]
    maps = [one for one in found if one is not None]
    if not maps:
        return None
    mean = torch.stack(maps).mean(dim=0)
    made: NDArray[np.float32] = _scaled(mean).numpy()
    return made


def _of_one(counter: nn.Module, photos: torch.Tensor, counts: torch.Tensor) -> torch.Tensor | None:
    backbone = counter.backbone
    assert isinstance(backbone, nn.Module)
    maps = _last_map(backbone, photos)
    if maps is None:
        return None
    seen: list[torch.Tensor] = []

    def keep(module: nn.Module, inputs: object, output: torch.Tensor) -> torch.Tensor:
        seen.append(output.detach().requires_grad_())
        return seen[-1]

    handle = maps.register_forward_hook(keep)
    try:
        with torch.enable_grad():
            log_probs = counter(photos)
            chosen = log_probs.gather(1, counts[:, None]).sum()
            (slope,) = torch.autograd.grad(chosen, seen[-1])  # (B, D, h, w)
    finally:
        handle.remove()
    weights = slope.mean(dim=(2, 3), keepdim=True)
    return _scaled((weights * seen[-1]).sum(dim=1).clamp_min(0).detach())


def _last_map(backbone: nn.Module, photos: torch.Tensor) -> nn.Module | None:
    """The last part of the backbone that gives a map (B, D, h, w) with more than one place."""
    last: list[nn.Module | None] = [None]

    def note(module: nn.Module, inputs: object, output: object) -> None:
        if not isinstance(output, torch.Tensor):
            return
        if output.ndim == 4 and min(output.shape[2:]) > 1:
            last.append(module)
        elif output.ndim == 3:  # places have become tokens, which later layers mix
            last.append(None)

    handles = [module.register_forward_hook(note) for module in backbone.modules()]
    try:
        with torch.inference_mode():
            backbone(photos[:1])
    finally:
        for handle in handles:
            handle.remove()
    return last[-1]


def _scaled(maps: torch.Tensor) -> torch.Tensor:
    """Maps (B, h, w) with 1 at their hottest place."""
    return maps / maps.amax(dim=(1, 2), keepdim=True).clamp_min(1e-12)
