"""Counter: a backbone and a head; photos (B, 3, S, S) -> log-probabilities over counts (B, K)."""

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import nn

from stocktake.errors import SettingsError, nearest
from stocktake.imaging.preprocess import Preprocessing
from stocktake.parts import Spec
from stocktake.vision import norms
from stocktake.vision.backbones import Backbone, backbones
from stocktake.vision.heads import heads


class Counter(nn.Module):
    """The whole model; its parameters are named `backbone.*` and `head.*`."""

    def __init__(self, backbone: nn.Module, head: nn.Module, *, max_count: int = 0) -> None:
        super().__init__()
        self.backbone = backbone
        self.head = head
        self.max_count = max_count
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

    def keep_norms(self) -> None:
        """Keep the statistics of the backbone's batch norms; see `norms`."""
        self._frozen += norms.kept(self.backbone)
        self.train(self.training)

    def train(self, mode: bool = True) -> "Counter":
        """As in torch, but frozen layers stay in evaluation mode."""
        super().train(mode)
        for module in self._frozen:
            module.training = False
        return self


class Ensemble(nn.Module):
    """Several counters that answer as one: the normalised mean of their log-probabilities.

    Args:
        members: counters for the same counts and photos.
    """

    def __init__(self, members: Sequence[Counter]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)
        self.max_count = members[0].max_count

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        """log_probs float32 (B, K) from normalised photos float32 (B, 3, S, S)."""
        looks = torch.stack([member(photos) for member in self.members])  # (M, B, K)
        return torch.log_softmax(looks.mean(dim=0), dim=1)


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
    return Counter(backbone.module, made, max_count=max_count)


def preprocessing_of(backbone: Backbone) -> Preprocessing:
    """How photos are prepared for this backbone."""
    return Preprocessing(side_px=backbone.side_px, mean=backbone.mean, std=backbone.std)


def parameter_groups(
    counter: Counter,
    *,
    backbone_lr_scale: float,
    layer_decay: float = 1.0,
    stages: Sequence[Sequence[str]] = (),
) -> list[dict[str, Any]]:
    """Parameters for an optimizer, norms and biases without decay; frozen ones are left out.

    Each group has `lr_scale`, its share of the learning rate: 1 for the head, `backbone_lr_scale`
    for the backbone's last stage, and for each stage before it `layer_decay` times that of the next
    (layer-wise rates, as in Clark et al. 2020, "ELECTRA").

    Args:
        counter: backbone and head.
        backbone_lr_scale: above 0 to 1.
        layer_decay: above 0 to 1.
        stages: names of the backbone's parameters by stage, the first one first.
    """
    depth = {name: place for place, names in enumerate(stages) for name in names}
    last = max(len(stages) - 1, 0)
    found: dict[tuple[float, bool], list[nn.Parameter]] = {}
    for name, parameter in counter.backbone.named_parameters():
        scale = backbone_lr_scale * layer_decay ** (last - depth.get(name, last))
        found.setdefault((scale, parameter.ndim > 1), []).append(parameter)
    groups = [(*kind, parameters) for kind, parameters in found.items()]
    for is_matrix in (True, False):
        ours = [p for p in counter.head.parameters() if (p.ndim > 1) == is_matrix]
        groups.append((1.0, is_matrix, ours))
    made: list[dict[str, Any]] = []
    for scale, is_matrix, parameters in groups:
        learning = [p for p in parameters if p.requires_grad]
        if learning:
            decay = {} if is_matrix else {"weight_decay": 0.0}
            made.append({"params": learning, "lr_scale": scale, **decay})
    return made


def _nearest(name: str, known: list[str]) -> str:
    clause = nearest(name, known)
    # timm has over a thousand names: never print them all
    return clause if clause.startswith("did") else "nothing known comes near"
