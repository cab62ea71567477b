"""Hooks: what can be hung on a module and left there, and what is found at modules. Needs torch."""

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from torch import Tensor, distributed, nn
from torch.optim import Optimizer

ACTIVATIONS = (
    *("ReLU", "ReLU6", "LeakyReLU", "PReLU", "RReLU", "ELU", "SELU", "CELU", "GELU", "SiLU"),
    *("Mish", "Hardswish", "Hardsigmoid", "Hardtanh", "Softplus", "Softsign", "Threshold"),
    *("Tanh", "Sigmoid", "LogSigmoid", "Softmax", "LogSoftmax", "GLU"),
)
"""Types of module whose inputs and outputs are recorded."""

LAYERS = (
    *("Linear", "Bilinear", "Conv1d", "Conv2d", "Conv3d", "Embedding", "EmbeddingBag"),
    *("ConvTranspose1d", "ConvTranspose2d", "ConvTranspose3d"),
    *("LSTM", "GRU", "RNN", "MultiheadAttention"),
)
"""Types of module whose outputs are recorded."""


class Hook:
    """A callable that does not go along when a model is copied or pickled.

    A copy of the model (an average of its weights, another process) has a hook that does nothing:
    it must not write into this training's record, nor fail over the thread that does.
    """

    __slots__ = ("_call", "_first")

    def __init__(self, call: Callable[..., None], *first: Any) -> None:
        self._call, self._first = call, first

    def __call__(self, *args: Any) -> None:
        self._call(*self._first, *args)

    def __reduce__(self) -> Any:
        return Hook, (nothing,)


class Switched:
    """Hooks that are on their modules only while they are wanted: an idle one costs 3 us a call."""

    def __init__(self) -> None:
        self._hooks: list[tuple[Callable[[Hook], Any], Hook]] = []
        self._handles: list[Any] = []

    def add(self, register: Callable[[Hook], Any], hook: Hook) -> None:
        """Keep a hook for the next turn; `register` hangs it up and returns a handle."""
        self._hooks.append((register, hook))
        self.turn(())

    def turn(self, wanted: Collection[str]) -> None:
        """All on if something is wanted, else all off."""
        if wanted and not self._handles:
            self._handles = [register(hook) for register, hook in self._hooks]
        elif not wanted and self._handles:
            for handle in self._handles:
                handle.remove()
            self._handles = []

    def clear(self) -> None:
        """Take them off for good."""
        self.turn(())
        self._hooks = []


def nothing(*_: Any) -> None:
    """Does nothing."""


def kind_of(module: nn.Module) -> str:
    """Type of a module by which its activations are told; "" for modules that have none.

    A subclass counts as what it is a subclass of.
    """
    for one in type(module).__mro__:
        if one.__name__ in ACTIVATIONS or one.__name__ in LAYERS:
            return one.__name__
    return ""


def unwrapped(model: nn.Module) -> tuple[nn.Module, bool]:
    """The model that was wrapped for several processes or compiled, and whether it was compiled."""
    is_compiled = False
    while True:
        if isinstance(inner := getattr(model, "_orig_mod", None), nn.Module):
            model, is_compiled = inner, True
        elif type(model).__name__ in ("DistributedDataParallel", "DataParallel"):
            model = model.module  # type: ignore[assignment]
        else:
            is_compiled = is_compiled or getattr(model, "_compiled_call_impl", None) is not None
            return model, is_compiled


def own_rank() -> int:
    """Rank of this process among those that train together; 0 if it is alone."""
    is_one_of_many = distributed.is_available() and distributed.is_initialized()
    return distributed.get_rank() if is_one_of_many else 0


def tensors_in(found: Any, place: str = "") -> Iterator[tuple[str, Tensor]]:
    """Tensors in what a module took or gave, with their place: "" for a lone one, ".0", ".key"."""
    if isinstance(found, Tensor):
        yield place, found
    elif isinstance(found, Mapping):
        for key, one in found.items():
            yield from tensors_in(one, f"{place}.{key}")
    elif isinstance(found, list | tuple):
        for number, one in enumerate(found):
            yield from tensors_in(one, f"{place}.{number}")


def state_of(
    optimizer: Optimizer, names: Mapping[int, str]
) -> Iterator[tuple[str, Tensor | float]]:
    """Settings of each group, as "group0/lr", and tensors of the state, as "exp_avg/fc1.weight".

    Args:
        optimizer: after a step; before the first it has no state.
        names: of the parameters, by their id.
    """
    for place, group in enumerate(optimizer.param_groups):
        for key, number in group.items():
            if isinstance(number, float):
                yield f"group{place}/{key}", number
        for parameter in group["params"]:
            name = names.get(id(parameter))
            for key, one in optimizer.state.get(parameter, {}).items() if name else ():
                if isinstance(one, Tensor) and one.ndim:
                    yield f"{key}/{name}", one
