"""Part and Shelf: interchangeable things chosen by name in the settings.

A shelf is a folder with one part per file; the first question to a shelf imports every file in it.
A part is a function whose keyword arguments are its options.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from importlib import import_module
from pkgutil import iter_modules
from types import UnionType
from typing import (
    Annotated,
    Any,
    Generic,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

from stocktake.errors import SettingsError, nearest

P = TypeVar("P")

Spec: TypeAlias = str | Mapping[str, Any]
"""A part as settings name it: a name, or a table with `name` and the part's options."""
PART = "part"
Part: TypeAlias = Annotated[str | dict[str, Any], PART]
"""Type of a setting that is a `Spec`; a table without a name gives options to the default part."""


class Shelf(Generic[P]):
    """A folder of parts of one kind.

    Args:
        kind: the word for one part in texts, as "backbone".
        package: the package whose modules hold the parts; a leading underscore hides a module.
    """

    def __init__(self, kind: str, *, package: str) -> None:
        self.kind = kind
        self._package = package
        self._parts: dict[str, Callable[..., P]] = {}
        self._is_stocked = False

    def add(self, name: str) -> Callable[[Callable[..., P]], Callable[..., P]]:
        """Put the decorated function on the shelf under `name`.

        Raises:
            SettingsError: if the name is taken.
        """

        def put(make: Callable[..., P]) -> Callable[..., P]:
            taken = self._parts.get(name)
            if taken is not None and taken.__module__ != make.__module__:
                raise SettingsError(f"{self.kind} '{name}' is on the shelf twice; rename yours")
            self._parts[name] = make
            return make

        return put

    def __contains__(self, name: str) -> bool:
        self._stock()
        return name in self._parts

    def __iter__(self) -> Iterator[str]:
        return iter(self.names())

    def names(self) -> list[str]:
        """Every part's name, sorted."""
        self._stock()
        return sorted(self._parts)

    def about(self, name: str) -> str:
        """The first line of the part's docstring."""
        return (inspect.getdoc(self._find(name)) or "").split("\n", 1)[0]

    def options(self, name: str) -> dict[str, inspect.Parameter]:
        """The part's keyword arguments by name; what the caller must give is among them."""
        return dict(inspect.signature(self._find(name)).parameters)

    def make(self, spec: Spec, **given: Any) -> P:
        """The part that `spec` names, made with the options in it.

        Args:
            spec: a name, or a table with `name` and options.
            given: what the house hands to the part (feature width, for instance); not options.

        Raises:
            SettingsError: for an unknown part, an unknown option or one of the wrong type.
        """
        name, options = self.read(spec)
        make = self._find(name)
        hints = get_type_hints(make)
        allowed = [n for n, p in self.options(name).items() if n not in given and _is_option(p)]
        for key, value in options.items():
            if key not in allowed:
                takes = ", ".join(sorted(allowed)) or "no options"
                raise SettingsError(
                    f"{self.kind} '{name}' has no option '{key}'; it takes: {takes}"
                )
            if key in hints and not _fits(value, hints[key]):
                wanted = getattr(hints[key], "__name__", str(hints[key]))
                raise SettingsError(
                    f"{self.kind} '{name}' option '{key}' must be {wanted}, got {value!r}"
                )
        try:
            return make(**given, **options)
        except ValueError as err:
            raise SettingsError(f"{self.kind} '{name}': {err}") from err

    def read(self, spec: Spec) -> tuple[str, dict[str, Any]]:
        """Name and options that `spec` holds; the name is not looked up."""
        if isinstance(spec, str):
            return spec, {}
        options = dict(spec)
        name = options.pop("name", None)
        if not isinstance(name, str):
            raise SettingsError(f"{self.kind} needs a name, as in {{ name = '...' }}, got {spec}")
        return name, options

    def _find(self, name: str) -> Callable[..., P]:
        self._stock()
        if name not in self._parts:
            raise SettingsError(
                f"there is no {self.kind} '{name}'; {nearest(name, self._parts)}"
                f" (`stocktake parts {self.kind}` lists them)"
            )
        return self._parts[name]

    def _stock(self) -> None:
        if self._is_stocked:
            return
        self._is_stocked = True
        for module in iter_modules(import_module(self._package).__path__):
            if not module.name.startswith("_"):
                import_module(f"{self._package}.{module.name}")


def _is_option(parameter: inspect.Parameter) -> bool:
    return parameter.kind is inspect.Parameter.KEYWORD_ONLY


def _fits(value: Any, hint: Any) -> bool:
    """Whether a TOML value suits an annotation; annotations we cannot judge are let through."""
    if get_origin(hint) in (Union, UnionType):
        return any(_fits(value, one) for one in get_args(hint))
    hint = get_origin(hint) or hint
    if hint is float:
        return isinstance(value, int | float) and not isinstance(value, bool)
    if hint is int:
        return isinstance(value, int) and not isinstance(value, bool)
    if hint is tuple:
        return isinstance(value, list | tuple)
    if isinstance(hint, type):
        return isinstance(value, hint)
    return True
