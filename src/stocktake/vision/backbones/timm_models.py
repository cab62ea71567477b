"""Any model of timm by its name, for instance `backbone = "resnet50"`.

The one module that imports timm and torchvision:
https://github.com/huggingface/pytorch-image-models
"""

import importlib
import importlib.util
from functools import cache, partial
from pathlib import Path
from typing import Any

import torch
from torch import nn

from stocktake.errors import SettingsError, nearest
from stocktake.vision.backbones import Backbone, State, backbones
from stocktake.vision.hub import fetch

_SCHEMA = "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor"
_KEPT_ALIVE: list[Any] = []  # the op definitions vanish with their Library object


@backbones.add("timm")
def timm_model(
    *, side_px: int, model: str, drop_rate: float = 0.0, drop_path: float = 0.0
) -> Backbone:
    """Any timm model; `backbone = "resnet50"` is short for `{ name = "timm", model = "resnet50" }`.

    Args:
        side_px: side of the photos, 0 for the model's own.
        model: name of the architecture, with or without the tag of its weights
            ("resnet50.a1_in1k").
        drop_rate: dropout on the features, 0 to 1.
        drop_path: stochastic depth, 0 to 1.

    Raises:
        SettingsError: if timm has no such model, or the model has no such option.
    """
    timm = timm_library()
    if not knows(model):
        raise SettingsError(f"there is no timm model '{model}'; {nearest(model, names())}")
    config = timm.models.get_pretrained_cfg(model)
    settings: dict[str, Any] = {"num_classes": 0, "drop_rate": drop_rate}
    if drop_path:
        settings["drop_path_rate"] = drop_path
    side_px = side_px or (config.input_size[-1] if config else 224)
    if config and config.fixed_input_size:
        settings["img_size"] = side_px
    try:
        module = timm.create_model(model, pretrained=False, **settings)
    except (TypeError, AssertionError, ValueError) as err:
        raise SettingsError(
            f"timm cannot build '{model}' for {side_px} px with drop_rate {drop_rate} and"
            f" drop_path {drop_path}: {_line(err)}"
        ) from err
    return Backbone(
        module=module,
        features=int(getattr(module, "head_hidden_size", None) or module.num_features),
        side_px=side_px,
        mean=_three(config.mean if config else (0.485, 0.456, 0.406)),  # ImageNet's
        std=_three(config.std if config else (0.229, 0.224, 0.225)),
        stages=_stages(module),
        load_pretrained=partial(_from_hub, model=model),
        adapt=partial(_without_classifier, model=model),
    )


def names() -> list[str]:
    """Names of all architectures timm has, sorted."""
    return list(timm_library().list_models())


def knows(model: str) -> bool:
    """Whether timm has this architecture; a tag of weights after a dot may follow."""
    return bool(timm_library().is_model(model))


@cache
def timm_library() -> Any:
    """The timm module, imported so that it also works beside a CPU build of torch.

    PyPI's torchvision is compiled against CUDA; where its library does not load, its Python code
    still registers fakes for two operators that were never defined, and the import fails. The two
    schemas are all it takes; where the library does load it defines them itself and a second
    definition clashes.
    """
    found = importlib.util.find_spec("torchvision")
    for folder in (found.submodule_search_locations or []) if found else []:
        library = next(Path(folder).glob("_C*.so"), None)
        try:
            if library is not None:
                torch.ops.load_library(str(library))
        except OSError:
            operators = torch.library.Library("torchvision", "DEF")
            for name in ("nms", "qnms"):
                operators.define(f"{name}{_SCHEMA}")
            _KEPT_ALIVE.append(operators)
    return importlib.import_module("timm")


def _stages(module: nn.Module) -> tuple[tuple[str, ...], ...]:
    """The model's parameters as timm groups them for layer-wise rates, coarsely."""
    if not hasattr(module, "group_matcher"):
        return ()
    matcher = module.group_matcher(coarse=True)  # type: ignore[operator]
    groups = timm_library().models.group_parameters(module, matcher)
    return tuple(tuple(groups[key]) for key in sorted(groups))


def _from_hub(module: nn.Module, *, model: str) -> str:
    """Fill the module with timm's own weights; gives where they came from."""
    timm = timm_library()
    config = timm.models.get_pretrained_cfg(model)
    if config is None or not config.hf_hub_id:
        raise SettingsError(
            f"timm has no pretrained weights on the hub for '{model}';"
            ' weights = "none" starts at random, weights = "FILE" reads a file'
        )
    repository = config.hf_hub_id.rstrip("/")
    if repository.endswith("timm"):  # an organisation: the repository is named after the model
        repository = f"{repository}/{config.architecture}.{config.tag}"
    file = fetch(repository, backbone=model)
    timm.models.load_pretrained(
        module,
        pretrained_cfg={**config.to_dict(), "file": str(file), "hf_hub_id": None, "url": ""},
        num_classes=0,
        filter_fn=_filter_of(module),
    )
    return f"hub {repository}"


def _filter_of(module: nn.Module) -> Any:
    """The function by which this family of models renames old keys; None where it has none."""
    return getattr(importlib.import_module(type(module).__module__), "checkpoint_filter_fn", None)


def _without_classifier(state: State, *, model: str) -> State:
    config = timm_library().models.get_pretrained_cfg(model)
    heads = config.classifier if config else None
    prefixes = tuple(f"{h}." for h in ([heads] if isinstance(heads, str) else heads or []))
    return {k: v for k, v in state.items() if not (prefixes and k.startswith(prefixes))}


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue


def _line(err: BaseException) -> str:
    return " ".join(str(err).split())
