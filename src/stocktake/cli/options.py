"""What every command shares: the settings file, --set, --name, --on, --json."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeAlias

import click

from stocktake.errors import SettingsError, nearest
from stocktake.runs.job import Engine
from stocktake.stages import recipes
from stocktake.stages.run import Plan, read_plan

USUAL = Path("stocktake.toml")
ENGINES = ("local",)

Command: TypeAlias = Callable[..., Any]


def file_argument(function: Command) -> Command:
    """The settings file, or a recipe's name; left out, stocktake.toml here, else defaults."""
    return click.argument("file", required=False, type=click.Path(path_type=Path))(function)


def set_option(function: Command) -> Command:
    """--set KEY=VALUE, as often as wanted."""
    text = "Set one setting, as in split.test_frac=0.1; may be repeated."
    return click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=text)(function)


def name_option(function: Command) -> Command:
    """--name RUN."""
    text = "Name of the run; the file's name setting otherwise."
    return click.option("--name", default="", metavar="RUN", help=text)(function)


def on_option(function: Command) -> Command:
    """--on ENGINE."""
    text = "Engine that carries the jobs."
    return click.option("--on", "engine", default="local", metavar="ENGINE", help=text)(function)


def json_option(function: Command) -> Command:
    """--json."""
    text = "Print the result as one JSON object."
    return click.option("--json", "as_json", is_flag=True, help=text)(function)


def estimate_option(function: Command) -> Command:
    """--estimate."""
    text = "Only measure here how long it will take and what it needs; nothing is made."
    return click.option("--estimate", "is_estimate", is_flag=True, help=text)(function)


def plan_from(
    file: Path | None,
    sets: tuple[str, ...],
    *,
    name: str = "",
    inputs: dict[str, str] | None = None,
) -> Plan:
    """The plan of the named file or recipe, of stocktake.toml here, or of defaults and --set."""
    path = recipes.file_of(file) if file else (USUAL if USUAL.exists() else None)
    return read_plan(path, sets=sets, name=name, inputs=inputs or {})


def engine_named(name: str) -> Engine:
    """The engine of that name. Raises SettingsError with the nearest one for an unknown name."""
    if name not in ENGINES:
        raise SettingsError(f"--on: there is no engine '{name}'; {nearest(name, ENGINES)}")
    from stocktake.engines.local import LocalEngine

    return LocalEngine()
