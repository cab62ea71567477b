"""Counter: a backbone and a head; photos (B, 3, S, S) -> log-probabilities over counts (B, K)."""

from collections.abc import Iterable
from typing import Any

import torch
from torch import nn

from stocktake.errors import SettingsError, nearest
from stocktake.imaging.preprocess import Preprocessing
from stocktake.parts import Spec
from stocktake.vision.backbones import Backbone, backbones
from stocktake.vision.heads import heads


class Counter(nn.Module):
    """The whole model; its parameters are named `backbone.*` and `head.*`."""

    def __init__(self, backbone: nn.Module, head: nn.Module) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self._frozen: list[nn.Module] = []

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """log_probs float32 (B, K) from normalised photos float32 (B, 3, S, S)."""
        log_probs: torch.Tensor = self.head(self.backbone(photos))  # (B, D) -> (B, K)
        return log_probs

    def freeze(self, names: Iterable[str]) -> None:
        """Keep these parameters of the backbone as they are, and the statistics of their layers."""
        for name in names:
            owner, _, last = name.rpartition(".")
            module = self.backbone.get_submodule(owner)
            module.get_parameter(last).requires_grad_(False)
            self._frozen.append(module)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Counter":
        """As in torch, but frozen layers stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self


def frozen_names(backbone: Backbone, *, stages: int) -> list[str]:
    """Names of the parameters in the first `stages` stages of a backbone; -1: all of them.

    Raises:
        SettingsError: if it has fewer stages.
    """
    if stages < 0:
        return [name for name, _ in backbone.module.named_parameters()]
    if stages > len(backbone.stages):
        raise SettingsError(
            f"frozen_stages is {stages}, but this backbone has {len(backbone.stages)} stages;"
            " take fewer, or -1 for the whole backbone"
        )
    return [name for stage in backbone.stages[:stages] for name in stage]


def make_backbone(spec: Spec, *, side_px: int = 0) -> Backbone:
    """The backbone that `spec` names, on our shelf or in timm, its weights random.

    Args:
        spec: a name, or a table with name and options.
        side_px: side of the photos, 0 for the backbone's own.

    Raises:
        SettingsError: for an unknown name (with the nearest ones) or option.
    """
    name, options = backbones.read(spec)
    if name in backbones:
        return backbones.make(spec, side_px=side_px)
    from stocktake.vision.backbones import timm_models

    if not timm_models.knows(name):
        known = [*backbones.names(), *timm_models.names()]
        raise SettingsError(
            f"there is no backbone '{name}'; {_nearest(name, known)} (`stocktake parts backbone`"
            " lists ours, and any model of timm can be named)"
        )
    return backbones.make({"name": "timm", "model": name, **options}, side_px=side_px)


def make_counter(backbone: Backbone, head: Spec, *, max_count: int) -> Counter:
    """A counter for counts 0..max_count.

    Raises:
        SettingsError: for an unknown head or option.
    """
    made = heads.make(head, features=backbone.features, max_count=max_count)
    return Counter(backbone.module, made)


def preprocessing_of(backbone: Backbone) -> Preprocessing:
    """How photos are prepared for this backbone."""
    return Preprocessing(side_px=backbone.side_px, mean=backbone.mean, std=backbone.std)


def parameter_groups(counter: Counter, *, backbone_lr_scale: float) -> list[dict[str, Any]]:
    """Parameters for an optimizer: backbone and head apart, norms and biases without decay.

    Each group has `lr_scale`, its share of the learning rate; frozen parameters are left out.
    """
    groups: list[dict[str, Any]] = []
    for module, scale in ((counter.backbone, backbone_lr_scale), (counter.head, 1.0)):
        learning = [p for p in module.parameters() if p.requires_grad]
        matrices = [p for p in learning if p.ndim > 1]
        vectors = [p for p in learning if p.ndim <= 1]
        if matrices:
            groups.append({"params": matrices, "lr_scale": scale})
        if vectors:
            groups.append({"params": vectors, "lr_scale": scale, "weight_decay": 0.0})
    return groups


def _nearest(name: str, known: list[str]) -> str:
    clause = nearest(name, known)
    # timm has over a thousand names: never print them all
    return clause if clause.startswith("did") else "nothing known comes near"
