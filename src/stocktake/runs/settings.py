"""Settings: a TOML file and `--set` words, read into a stage's own dataclass."""

import dataclasses
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, TypeVar, get_type_hints

import msgspec

from stocktake.errors import SettingsError, nearest
from stocktake.parts import PART

S = TypeVar("S")

TOP_KEYS = {"name": str, "folder": str, "plugins": list}
"""Keys above the tables: the run's name, the folder that holds runs, modules to import."""


def read_file(path: Path) -> dict[str, Any]:
    """The tables of a settings file.

    Raises:
        SettingsError: if it is missing or is not TOML.
    """
    try:
        with path.open("rb") as file:
            return tomllib.load(file)
    except FileNotFoundError:
        raise SettingsError(f"there is no settings file {path}; name one that exists") from None
    except IsADirectoryError:
        raise SettingsError(f"{path} is a folder; name the settings file in it") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as err:
        raise SettingsError(f"{path} is not valid TOML: {err}") from err


def parse_set(words: Iterable[str]) -> dict[str, Any]:
    """Tables from words like `split.test_frac=0.1`; the value is TOML, a bare word is text.

    Raises:
        SettingsError: if a word has no '=' or an empty key.
    """
    tables: dict[str, Any] = {}
    for word in words:
        key, equals, text = word.partition("=")
        keys = [part.strip() for part in key.split(".")]
        if not equals or not all(keys):
            raise SettingsError(f"--set takes KEY=VALUE as in split.test_frac=0.1, got '{word}'")
        target = tables
        for part in keys[:-1]:
            inner = target.setdefault(part, {})
            if not isinstance(inner, dict):
                raise SettingsError(f"--set gives '{part}' a value and a key below it in '{word}'")
            target = inner
        target[keys[-1]] = _value(text.strip())
    return tables


def _value(text: str) -> Any:
    try:
        return tomllib.loads(f"v = {text}")["v"]
    except tomllib.TOMLDecodeError:
        return text


def merge(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    """Both tables in one, `above` winning key by key.

    A part named anew takes no options of the part it replaces; an option set on a part that was
    only named turns the name into a table.
    """
    merged = dict(below)
    for key, value in above.items():
        under = merged.get(key)
        if isinstance(value, Mapping):
            if isinstance(under, str) and "name" not in value:
                under = {"name": under}
            renamed = "name" in value and isinstance(under, Mapping)
            if renamed and isinstance(under, Mapping) and under.get("name") != value["name"]:
                under = {}
            merged[key] = merge(under if isinstance(under, Mapping) else {}, value)
        else:
            merged[key] = value
    return merged


def build(kind: type[S], table: Mapping[str, Any], *, where: str) -> S:
    """The settings dataclass `kind` with the values of `table`.

    Args:
        where: name of the table, for error texts ("split").

    Raises:
        SettingsError: for an unknown key (with the nearest name), a wrong type or a value that the
            dataclass refuses.
    """
    if not isinstance(table, Mapping):
        raise SettingsError(f"{where} must be a table, as in [{where}], got {table!r}")
    known = {f.name for f in dataclasses.fields(kind)}  # type: ignore[arg-type]
    for key in table:
        if key not in known:
            raise SettingsError(f"{where}.{key} is not a setting; {nearest(key, known)}")
    try:
        return msgspec.convert(_with_default_parts(kind, table), type=kind)
    except msgspec.ValidationError as err:
        raise SettingsError(_readable(str(err), where, table)) from err


def _with_default_parts(kind: type, table: Mapping[str, Any]) -> dict[str, Any]:
    """The table, in which options without a part's name go to the default part."""
    whole = dict(table)
    hints = get_type_hints(kind, include_extras=True)
    for field in dataclasses.fields(kind):
        given = whole.get(field.name)
        is_part = PART in getattr(hints[field.name], "__metadata__", ())
        if is_part and isinstance(given, Mapping) and "name" not in given:
            made = field.default_factory
            default = field.default if made is dataclasses.MISSING else made()
            whole |= merge({field.name: default}, {field.name: given})
    return whole


def _readable(text: str, where: str, table: Mapping[str, Any]) -> str:
    """msgspec's sentence with our names: 'Expected `int`, got `str` - at `$.epochs`'."""
    message, _, path = text.partition(" - at `$")
    path = path.rstrip("`").lstrip(".")
    if not path:
        return f"{where}.{message}"
    found = table.get(path.split(".")[0].split("[")[0])
    wanted = message.replace("Expected ", "must be ").replace("`", "").split(", got")[0]
    return f"{where}.{path} {wanted}, got {found!r}"


def resolved(settings: Any) -> dict[str, Any]:
    """Every setting as plain data, ready for JSON."""
    return dict(msgspec.to_builtins(settings))


def about(kind: type) -> dict[str, str]:
    """The sentence under each field of a settings dataclass, read from its source."""
    import ast
    import inspect
    import textwrap

    body = ast.parse(textwrap.dedent(inspect.getsource(kind))).body[0]
    assert isinstance(body, ast.ClassDef)
    texts: dict[str, str] = {}
    for field, after in zip(body.body, body.body[1:], strict=False):
        is_text = isinstance(after, ast.Expr) and isinstance(after.value, ast.Constant)
        if isinstance(field, ast.AnnAssign) and isinstance(field.target, ast.Name) and is_text:
            texts[field.target.id] = " ".join(str(after.value.value).split())  # type: ignore[attr-defined]
    return texts
