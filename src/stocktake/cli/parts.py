"""`stocktake parts`: what is on the shelves, with options."""

from importlib import import_module
from typing import Any

import click

from stocktake.cli import options
from stocktake.errors import SettingsError, nearest
from stocktake.parts import Shelf

SHELVES = {
    "backbone": ("stocktake.vision.backbones", "backbones"),
    "head": ("stocktake.vision.heads", "heads"),
    "loss": ("stocktake.vision.losses", "losses"),
    "augment": ("stocktake.vision.augments", "augments"),
    "optimizer": ("stocktake.vision.optimizers", "optimizers"),
    "schedule": ("stocktake.vision.schedules", "schedules"),
    "sampler": ("stocktake.tune.samplers", "samplers"),
    "stopper": ("stocktake.tune.stoppers", "stoppers"),
}
"""Every shelf by the word for one part on it: the module, and the shelf's name in it."""


@click.command("parts")
@click.argument("shelf", required=False)
@options.json_option
def command(shelf: str | None, as_json: bool) -> None:
    """Say what is on a SHELF (or on all), with options."""
    from stocktake.cli import show

    if shelf and shelf not in SHELVES:
        raise SettingsError(f"there is no shelf '{shelf}'; {nearest(shelf, SHELVES)}")
    found = {name: _parts_on(name) for name in ([shelf] if shelf else SHELVES)}
    if as_json:
        show.print_json(found)
        return
    for name, parts in found.items():
        click.echo(f"{name}")
        for part in parts:
            click.echo(f"  {part['name']:<24} {part['about']}")
            for option, default in part["options"].items():
                click.echo(f"      {option} = {default}")


def _parts_on(name: str) -> list[dict[str, Any]]:
    module, attribute = SHELVES[name]
    shelf: Shelf[Any] = getattr(import_module(module), attribute)
    return [
        {"name": part, "about": shelf.about(part), "options": _options(shelf, part)}
        for part in shelf.names()
    ]


def _options(shelf: Shelf[Any], part: str) -> dict[str, str]:
    """The options a settings file may give: keyword arguments that have a default."""
    return {
        name: repr(parameter.default)
        for name, parameter in shelf.options(part).items()
        if parameter.kind is parameter.KEYWORD_ONLY and parameter.default is not parameter.empty
    }
