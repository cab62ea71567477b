"""Selection: what a recorder saves, of which tensors, and when. Knows no torch."""

import re
from collections.abc import Container, Iterable, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Any

from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.records import MODES

LISTS = ("histogram", "channel_means", "channel_positive")
PLAIN: tuple[str, ...] = (
    *("mean", "std", "variance", "abs_mean", "norm", "min", "max"),
    *("nans", "infs", "zeros", "positive", "value", "update_ratio"),
    *LISTS,
)
"""Statistics whose name has no number in it; `debugger.reductions` says what they are."""

_NUMBERED = re.compile(r"(above:|below:|p)(-?\d+(?:\.\d+)?(?:e-?\d+)?)")


def check_statistics(statistics: Iterable[str]) -> None:
    """Raise DebuggerError unless all of these can be computed."""
    for one in statistics:
        numbered = _NUMBERED.fullmatch(one)
        is_percentile = numbered is not None and numbered[1] == "p"
        is_known = numbered is not None and (not is_percentile or 0 <= float(numbered[2]) <= 100)
        if one not in PLAIN and not is_known:
            raise DebuggerError(
                f"there is no statistic '{one}'; they are {', '.join(PLAIN)},"
                " a percentile as p5, a share as above:0.5 or below:0.5"
            )


TENSOR = ("mean", "std", "variance", "abs_mean", "min", "max", "nans", "infs", "zeros")
"""Statistics of a tensor, if not said otherwise."""

When = int | Container[int]
"""Every so many steps, from 0; or those steps that are in it, as `range(100, 500, 10)`."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Collection:
    """What is saved of a collection."""

    statistics: tuple[str, ...] = TENSOR
    """Names from `debugger.reductions`, "value" for whole tensors; for weights also "update_ratio":
    norm of the step's change over norm of the weights, which needs a copy of them for the time."""
    regex: str = ""
    """Tensors whose name it finds; of a collection that the recorder knows itself, these alone."""
    every: Mapping[str, When] = field(default_factory=dict)
    """When it is saved, by mode; the recorder's own where it says nothing."""

    def __post_init__(self) -> None:
        check_statistics(self.statistics)
        try:
            re.compile(self.regex)
        except re.error as err:
            raise DebuggerError(f"'{self.regex}' is no regular expression: {err}") from None


KNOWN: Mapping[str, Collection] = {
    "losses": Collection(statistics=("value",)),
    "gradients": Collection(statistics=(*TENSOR, "p5", "p95")),
    "weights": Collection(),
    "biases": Collection(),
    "inputs": Collection(statistics=(*TENSOR, "channel_means")),
    "activations": Collection(statistics=(*TENSOR, "positive", "channel_positive")),
    "activation_inputs": Collection(statistics=(*TENSOR, "positive", "p5", "p95")),
    "optimizer": Collection(),
    "predictions": Collection(statistics=("value",)),
    "labels": Collection(statistics=("value",)),
    "scalars": Collection(statistics=("value",)),
}
"""Collections that are found without a regular expression."""

USUAL = tuple(name for name in KNOWN if name not in ("optimizer", "predictions", "labels"))
"""Those that a recorder saves if it is told nothing."""


def known(name: str) -> Collection:
    """The collection of that name.

    Raises:
        DebuggerError: if there is none, with near names.
    """
    if name not in KNOWN:
        raise DebuggerError(f"there is no collection '{name}'; {near_names(name, KNOWN)}")
    return KNOWN[name]


def is_due(every: When, step: int) -> bool:
    return step % every == 0 if isinstance(every, int) else step in every


def check_every(every: Mapping[str, When]) -> None:
    for mode, when in every.items():
        if mode not in MODES:
            raise DebuggerError(f"every: there is no mode '{mode}'; {near_names(mode, MODES)}")
        if isinstance(when, int) and when < 1:
            raise DebuggerError(f"every: {mode} must be at least 1 step, got {when}")


def near_names(name: str, known: Any) -> str:
    """A hint at what was meant."""
    names = list(known)
    near = get_close_matches(name, names, 3, cutoff=0.4)
    if near:
        return f"did you mean {', '.join(near)}?"
    more = f" and {len(names) - 12} more" if len(names) > 12 else ""
    return f"there are {', '.join(names[:12])}{more}"
