"""Weights: fill a new backbone with what it shall start from, and say where that came from."""

import pickle
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from stocktake.errors import DataError, SettingsError
from stocktake.vision.backbones import Backbone, State

PRETRAINED = "pretrained"
NONE = "none"
_WRAPPERS = ("state_dict", "model", "model_state_dict")
_PREFIXES = ("module.", "backbone.")  # DataParallel's, and our own checkpoints'

_BROKEN = (  # what reading damaged or foreign bytes raises
    OSError,
    RuntimeError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    EOFError,
    pickle.UnpicklingError,
    SafetensorError,
)


def fill(backbone: Backbone, weights: str) -> str:
    """Fill the backbone's module; gives the source: a package, a hub, a file, or "random".

    Args:
        backbone: made by its shelf, its weights random.
        weights: "pretrained", "none" or the path of a file: safetensors, or a torch checkpoint that
            holds tensors only.

    Raises:
        SettingsError: if there is no such file, or no pretrained weights can be had.
        DataError: if the file cannot be read or does not fit.
    """
    if weights == NONE:
        return "random"
    if weights != PRETRAINED:
        state = read_state(Path(weights))
        load_strictly(backbone, state, where=weights)
        return f"file {weights}"
    if backbone.load_pretrained is None:
        raise SettingsError(
            'this backbone has no pretrained weights; weights = "none" starts at random,'
            ' weights = "FILE" reads a file'
        )
    return backbone.load_pretrained(backbone.module)


def read_state(file: Path) -> State:
    """The tensors in a weights file by key; wrappers around them are taken off.

    Raises:
        SettingsError: if there is no such file.
        DataError: if it is neither safetensors nor a torch checkpoint of tensors alone.
    """
    if not file.is_file():
        raise SettingsError(
            f'weights must be "{PRETRAINED}", "{NONE}" or a file, and there is no file {file}'
        )
    try:
        if file.suffix == ".safetensors":
            return load_file(file)
        found = torch.load(file, map_location="cpu", weights_only=True)
    except _BROKEN as err:
        reason = (str(err).strip() or type(err).__name__).splitlines()[0]
        raise DataError(
            f"{file} cannot be read as weights ({reason}); expected safetensors, or a torch"
            " checkpoint with nothing but tensors in it"
        ) from err
    for wrapper in _WRAPPERS:
        if isinstance(found, dict) and isinstance(found.get(wrapper), dict):
            found = found[wrapper]
    if not isinstance(found, dict) or not any(isinstance(v, torch.Tensor) for v in found.values()):
        raise DataError(f"{file} holds no tensors by name; expected a model's state")
    return {str(k): v for k, v in found.items() if isinstance(v, torch.Tensor)}


def load_strictly(backbone: Backbone, state: State, *, where: str) -> None:
    """Load the state if it fits key for key and shape for shape; a classifier is left out.

    Raises:
        DataError: naming the first key that is missing, unexpected or of another shape.
    """
    for prefix in _PREFIXES:
        inner = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}
        state = inner or state
    if backbone.adapt is not None:
        state = backbone.adapt(state)
    wanted = backbone.module.state_dict()
    missing = [k for k in wanted if k not in state and not k.endswith("num_batches_tracked")]
    unexpected = [k for k in state if k not in wanted]
    other = [k for k in wanted if k in state and state[k].shape != wanted[k].shape]
    faults = []
    for word, keys in (("lacks", missing), ("has the unknown key", unexpected)):
        if keys:
            faults.append(f"{word} '{keys[0]}'{_more(keys)}")
    if other:
        shapes = f"{tuple(state[other[0]].shape)} instead of {tuple(wanted[other[0]].shape)}"
        faults.append(f"has '{other[0]}' as {shapes}{_more(other)}")
    if faults:
        raise DataError(
            f"{where} does not fit the backbone: it {' and '.join(faults)};"
            " name the backbone these weights were made for"
        )
    backbone.module.load_state_dict({**wanted, **state})


def _more(keys: list[str]) -> str:
    return f" (and {len(keys) - 1} more)" if len(keys) > 1 else ""
