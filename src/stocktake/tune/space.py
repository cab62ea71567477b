"""Search spaces: which settings a search may change, and between what.

```toml
"train.optimizer.lr" = { low = 0.001, high = 0.1, scale = "log" }
"train.batch_size"   = { choices = [32, 64, 128] }
"train.epochs"       = { low = 10, high = 40 }          # both ends whole: whole numbers
```
"""

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

from stocktake.errors import SettingsError, nearest

SCALES = ("linear", "log")


@dataclass(frozen=True, kw_only=True, slots=True)
class Range:
    """Numbers from `low` to `high`, both included."""

    low: float
    high: float
    scale: str = "linear"

    @property
    def is_whole(self) -> bool:
        """Whether only whole numbers are meant: both ends were written as such."""
        return isinstance(self.low, int) and isinstance(self.high, int)

    def ends(self) -> tuple[Any, Any]:
        """The first and the last value."""
        return self.low, self.high

    def plain(self) -> dict[str, Any]:
        """As settings write it."""
        return {"low": self.low, "high": self.high, "scale": self.scale}


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """One of several values: numbers, texts, booleans, or tables that name a part."""

    choices: tuple[Any, ...]

    def ends(self) -> tuple[Any, ...]:
        """Every value."""
        return self.choices

    def plain(self) -> dict[str, Any]:
        """As settings write it."""
        return {"choices": list(self.choices)}


Dimension: TypeAlias = Range | Choice
Space: TypeAlias = dict[str, Dimension]
"""Dimensions by the dotted name of the setting."""

NAMED: dict[str, dict[str, dict[str, Any]]] = {
    # the ranges of the 2024 report; its tuner saw all three on SageMaker's own scale
    "report": {
        "train.optimizer.lr": {"low": 0.001, "high": 0.1, "scale": "log"},
        "train.batch_size": {"low": 32, "high": 512, "scale": "log"},
        "train.epochs": {"low": 10, "high": 40},
    },
}


def read(spec: str | Mapping[str, Any], *, where: str) -> Space:
    """The space that settings describe.

    Args:
        spec: name of a space, or a table; its keys may be dotted names or tables in tables.
        where: what to call it in error texts ("tune.space").

    Raises:
        SettingsError: for an unknown name or key, an empty space or one that contradicts itself.
    """
    if isinstance(spec, str):
        if spec not in NAMED:
            raise SettingsError(f"{where}: there is no space '{spec}'; {nearest(spec, NAMED)}")
        spec = NAMED[spec]
    space: Space = {}
    for name, table in _leaves(spec, ()):
        if name in space:
            raise SettingsError(f"{where}: '{name}' is there twice; keep one of them")
        space[name] = _dimension(table, f"{where} '{name}'")
    if not space:
        raise SettingsError(
            f"{where} is empty: name at least one setting to search, as in"
            ' "train.optimizer.lr" = { low = 0.001, high = 0.1, scale = "log" }'
        )
    return space


def plain(space: Space) -> dict[str, Any]:
    """The space as plain data, equal for equal spaces."""
    return {name: dimension.plain() for name, dimension in space.items()}


def label(value: Any) -> Any:
    """A choice as a scalar: tables become their JSON text, all else stays."""
    return json.dumps(value, sort_keys=True) if isinstance(value, dict | list) else value


def _leaves(table: Mapping[str, Any], above: tuple[str, ...]) -> Iterator[tuple[str, Any]]:
    """Dotted names and what they hold; a table of tables only is a step on the way."""
    for key, value in table.items():
        path = (*above, key)
        inner = list(value.values()) if isinstance(value, Mapping) else []
        if inner and all(isinstance(one, Mapping) for one in inner):
            yield from _leaves(value, path)
        else:
            yield ".".join(path), value


def _dimension(table: Any, where: str) -> Dimension:
    if not isinstance(table, Mapping):
        raise SettingsError(
            f"{where} must be a table with low and high, or with choices, got {table!r}"
        )
    known = ("low", "high", "scale", "choices")
    for key in table:
        if key not in known:
            raise SettingsError(f"{where} knows no '{key}'; {nearest(key, known)}")
    if "choices" in table:
        return _choice(table, where)
    return _range(table, where)


def _choice(table: Mapping[str, Any], where: str) -> Choice:
    beside = sorted(set(table) - {"choices"})
    if beside:
        raise SettingsError(f"{where} has choices and {beside[0]}; keep one of the two")
    choices = table["choices"]
    if not isinstance(choices, list | tuple) or len(choices) < 2:
        raise SettingsError(
            f"{where}: choices must be a list of two or more, got {choices!r};"
            " a setting with one value belongs in tune.fixed"
        )
    labels = [label(value) for value in choices]
    for value in choices:
        if not isinstance(value, bool | int | float | str | dict | list):
            raise SettingsError(f"{where}: a choice must be number, text or table, got {value!r}")
        if labels.count(label(value)) > 1:
            raise SettingsError(f"{where}: {value!r} is among the choices twice; keep one")
    return Choice(choices=tuple(choices))


def _range(table: Mapping[str, Any], where: str) -> Range:
    for key in ("low", "high"):
        value = table.get(key)
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise SettingsError(f"{where}: {key} must be a number, got {value!r}")
        if not math.isfinite(value):
            raise SettingsError(f"{where}: {key} must be finite, got {value!r}")
    made = Range(low=table["low"], high=table["high"], scale=table.get("scale", "linear"))
    if made.scale not in SCALES:
        raise SettingsError(
            f"{where}: there is no scale {made.scale!r}; {nearest(str(made.scale), SCALES)}"
        )
    if not made.low < made.high:
        raise SettingsError(
            f"{where}: low must be below high, got {made.low} and {made.high};"
            " a setting with one value belongs in tune.fixed"
        )
    if made.scale == "log" and made.low <= 0:
        raise SettingsError(
            f'{where}: low must be above 0 on a log scale, got {made.low}; use scale = "linear"'
        )
    return made
