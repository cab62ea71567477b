"""Norms: batch normalisation whose statistics are kept as they are, done by the convolutions.

With kept statistics a norm is a scale and a shift per channel, which the convolution before it can
take over: y = conv(x, w * s) + (b - m * s) with s = gain / sqrt(variance + eps). Gain and bias are
still trained. A pass over memory less each way makes a training step on a CPU 1.5 times as fast
(bench/train.py), and a photo's answer depends on no other photo of its batch, so that several
processes train as one does.
"""

import types
from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import nn
from torch.nn import functional

TOLERANCE = 1e-3
"""Relative gap between folded and unfolded features above which a network is left unfolded."""
LOOK_PX = 64
"""Side of the random photos on which the two are compared."""

Forward = Callable[[torch.Tensor], torch.Tensor]


def kept(backbone: nn.Module) -> list[nn.Module]:
    """The batch norms of a backbone, from now on done by the convolutions before them.

    Which convolution feeds which norm is not said by a module, so it is guessed by their order and
    then held to the features of random photos; where they differ nothing is folded, and the norms
    only keep their statistics. The backbone's state keeps its names and meaning.

    Args:
        backbone: photos (B, 3, S, S) -> features (B, D), or maps of features.

    Returns:
        The norms, which have to stay in evaluation mode.
    """
    norms: list[nn.Module] = [m for m in backbone.modules() if isinstance(m, nn.BatchNorm2d)]
    was_training = {module: module.training for module in backbone.modules()}
    backbone.eval()
    looks = torch.rand(2, 3, LOOK_PX, LOOK_PX, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        before = _features(backbone, looks)
        changed = _fold(backbone)
        after = _features(backbone, looks)
    is_equal = (
        before is not None
        and after is not None
        and (after - before).abs().max() <= TOLERANCE * before.abs().max().clamp_min(1e-6)
    )
    if not is_equal:
        for module in changed:
            del module.forward
    for module, flag in was_training.items():
        module.training = flag
    return norms


@torch.no_grad()
def adapt(backbone: nn.Module, photos: Iterable[torch.Tensor]) -> None:
    """Set the statistics of the batch norms to those of these photos, before they are kept.

    AdaBN, Li et al. 2016, "Revisiting batch normalization for practical domain adaptation": bins
    are lit and filled unlike the photos that the weights come from.

    Args:
        backbone: photos (B, 3, S, S) -> features; left in the mode it was in.
        photos: normalised, batch by batch.
    """
    norms = [module for module in backbone.modules() if isinstance(module, nn.BatchNorm2d)]
    was_training = {module: module.training for module in backbone.modules()}
    momenta = [norm.momentum for norm in norms]
    backbone.eval()  # dropout stays out of it
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None  # the plain mean over all batches
        norm.training = True
    for batch in photos:
        backbone(batch)
    for norm, momentum in zip(norms, momenta, strict=True):
        norm.momentum = momentum
    for module, flag in was_training.items():
        module.training = flag


def _features(backbone: nn.Module, looks: torch.Tensor) -> torch.Tensor | None:
    try:
        found = backbone(looks)
    except (RuntimeError, AssertionError):  # a backbone for photos of one size only
        return None
    return found if isinstance(found, torch.Tensor) else None


def _fold(backbone: nn.Module) -> list[Any]:
    """Give each convolution the norm after it; the modules whose forward was replaced."""
    changed: list[Any] = []
    conv: nn.Conv2d | None = None
    for module in backbone.modules():
        if isinstance(module, nn.Conv2d):
            conv = module
        elif isinstance(module, nn.BatchNorm2d) and conv is not None:
            if module.num_features == conv.out_channels and module.running_var is not None:
                for one, forward in ((conv, _forward_with(module)), (module, _what_follows)):
                    setattr(one, "forward", types.MethodType(forward, one))  # noqa: B010
                    changed.append(one)
            conv = None
    return changed


def _forward_with(norm: nn.BatchNorm2d) -> Callable[[nn.Conv2d, torch.Tensor], torch.Tensor]:
    def forward(conv: nn.Conv2d, x: torch.Tensor) -> torch.Tensor:
        """The convolution and the norm after it."""
        mean, variance = norm.running_mean, norm.running_var
        assert mean is not None and variance is not None
        scale = torch.rsqrt(variance + norm.eps) * (norm.weight if norm.affine else 1.0)
        shift = (norm.bias if norm.affine else 0.0) - mean * scale
        if conv.bias is not None:
            shift = shift + conv.bias * scale
        weight = conv.weight * scale[:, None, None, None]
        x, padding = _padded(conv, x)
        return functional.conv2d(x, weight, shift, conv.stride, padding, conv.dilation, conv.groups)

    return forward


def _padded(conv: nn.Conv2d, x: torch.Tensor) -> tuple[torch.Tensor, Any]:
    """The input as the convolution would pad it, and the padding that is left to do."""
    if type(conv) is nn.Conv2d:
        return x, conv.padding
    # TensorFlow's "same" padding, which timm's Conv2dSame does by the input's size
    pads: list[int] = []
    for size, kernel, stride, dilation in zip(
        x.shape[:1:-1],
        conv.kernel_size[::-1],
        conv.stride[::-1],
        conv.dilation[::-1],
        strict=True,
    ):
        whole = max((-(-size // stride) - 1) * stride + (kernel - 1) * dilation + 1 - size, 0)
        pads += [whole // 2, whole - whole // 2]
    return functional.pad(x, pads), 0


def _what_follows(norm: Any, x: torch.Tensor) -> torch.Tensor:
    """timm's norms hold the dropout and the activation after them; torch's hold nothing."""
    for name in ("drop", "act"):
        if isinstance(getattr(norm, name, None), nn.Module):
            x = getattr(norm, name)(x)
    return x
