"""`stocktake settings`: what can be set, and whether a file sets it rightly."""

import dataclasses
from pathlib import Path
from typing import Any

import click

from stocktake.cli import options
from stocktake.runs import settings as reader
from stocktake.stages import run as driver
from stocktake.stages import table


@click.group("settings")
def command() -> None:
    """Show or check the settings of a file."""


@command.command("show")
@click.argument("stage", required=False)
@options.json_option
def show_settings(stage: str | None, as_json: bool) -> None:
    """Every setting of a STAGE (or of all) with its default and meaning."""
    from stocktake.cli import show

    stages = [table.find(stage)] if stage else list(table.STAGES)
    found = {one.name: _rows(one) for one in stages}
    if as_json:
        show.print_json(found)
        return
    for name, rows in found.items():
        click.echo(f"[{name}]")
        for row in rows:
            click.echo(f"# {row['about']}\n{row['key']} = {_toml(row['default'])}")
        click.echo()


@command.command("check")
@options.file_argument
@options.set_option
@options.json_option
def check_settings(file: Path | None, sets: tuple[str, ...], as_json: bool) -> None:
    """Read a settings FILE as `run` would, and say what it will do."""
    from stocktake.cli import show

    plan = options.plan_from(file, sets)
    driver.check_parts(plan)
    stages = [stage.name for stage in plan.stages()]
    resolved = {
        stage.name: reader.resolved(
            reader.build(stage.load().settings, plan.table_of(stage.name), where=stage.name)
        )
        for stage in plan.stages()
    }
    if as_json:
        show.print_json({"run": str(plan.path), "stages": resolved})
        return
    click.echo(f"run {plan.path}: {' -> '.join(stages) or 'no stages'}; settings are right")


def _rows(stage: table.Stage) -> list[dict[str, Any]]:
    kind = stage.load().settings
    texts = reader.about(kind)
    defaults = reader.resolved(kind())
    return [
        {"key": field.name, "default": defaults[field.name], "about": texts.get(field.name, "")}
        for field in dataclasses.fields(kind)
    ]


def _toml(value: Any) -> str:
    import tomli_w

    if value is None:
        return "# not set"
    if isinstance(value, dict):
        inner = ", ".join(f"{_key(key)} = {_toml(one)}" for key, one in value.items())
        return f"{{ {inner} }}" if inner else "{}"
    return tomli_w.dumps({"v": value}).partition("=")[2].strip()


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() else f'"{key}"'
