"""Parameters of rules, a function's keyword-only arguments; and rules found by their names."""

import inspect
from collections.abc import Callable, Mapping
from difflib import get_close_matches
from typing import Any, TypeVar

from stocktake.debugger.errors import RuleError

T = TypeVar("T")


def plain(name: str) -> str:
    """A name without what does not matter in it: case, hyphens and underscores."""
    return name.replace("-", "").replace("_", "").lower()


def on_shelf(name: str, shelf: Mapping[str, T], what: str) -> T:
    """The rule of that name; case, hyphens and underscores do not matter.

    Args:
        name: as somebody typed it.
        shelf: rules by their names.
        what: what they are called, "rule".

    Raises:
        RuleError: if there is none, with the nearest name.
    """
    known = {plain(one): one for one in shelf}
    if (wanted := known.get(plain(name))) is not None:
        return shelf[wanted]
    near = get_close_matches(plain(name), known, 1)
    hint = f"did you mean {known[near[0]]}?" if near else f"rules are {', '.join(sorted(shelf))}"
    raise RuleError(f"there is no {what} '{name}'; {hint}")


def check_known(rule: str, name: str, known: Mapping[str, Any]) -> None:
    """Raise RuleError, with near names, if a rule has no parameter of that name."""
    if name not in known:
        near = get_close_matches(name, known, 1)
        hint = f"did you mean '{near[0]}'?" if near else f"it has {', '.join(known)}"
        raise RuleError(f"rule {rule} has no parameter '{name}'; {hint}")


def defaults(judge: Callable[..., Any]) -> dict[str, Any]:
    """The keyword-only arguments of a function with their defaults."""
    signature = inspect.signature(judge).parameters.values()
    return {one.name: one.default for one in signature if one.kind is one.KEYWORD_ONLY}


def filled(rule: str, known: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The known parameters with the given ones set; texts are read as what the default is.

    Raises:
        RuleError: for an unknown parameter, with near names, or a value of another type.
    """
    made = dict(known)
    for name, value in given.items():
        check_known(rule, name, known)
        made[name] = _read(rule, name, value, known[name])
    return made


def _read(rule: str, name: str, value: Any, default: Any) -> Any:
    if default is None or isinstance(default, str):
        return value
    wanted = type(default)
    try:
        if isinstance(value, bool):
            raise ValueError
        made = wanted(value)
        if wanted is int and float(value) != made:
            raise ValueError
        return made
    except (ValueError, TypeError):
        raise RuleError(f"rule {rule}: {name} must be {wanted.__name__}, got {value!r}") from None
