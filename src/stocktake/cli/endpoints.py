"""`stocktake endpoints`: what is deployed on this machine."""

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stocktake.cli import options
from stocktake.errors import StocktakeError

if TYPE_CHECKING:
    from stocktake.runs.endpoints import Endpoint, EndpointFolder


def home() -> Path:
    """Folder of all endpoints of this user: below XDG_STATE_HOME, or ~/.local/state."""
    state = os.environ.get("XDG_STATE_HOME", "")
    return (Path(state) if state else Path.home() / ".local/state") / "stocktake/endpoints"


@click.group("endpoints", invoke_without_command=True)
@options.json_option
@click.pass_context
def command(ctx: click.Context, as_json: bool) -> None:
    """List what is deployed here; show or delete one."""
    if ctx.invoked_subcommand is not None:
        return
    from stocktake.cli import show
    from stocktake.runs import endpoints

    rows = [_row(folder) for folder in endpoints.every(home())]
    if as_json:
        show.print_json(rows)
    elif rows:
        show.print_rows([_said(row) for row in rows])
    else:
        click.echo("no endpoints; `stocktake deploy BUNDLE --name NAME` makes one")


@command.command("show")
@click.argument("name")
@options.json_option
def show_endpoint(name: str, as_json: bool) -> None:
    """Show one endpoint, and the last lines of its log."""
    from stocktake.cli import show
    from stocktake.runs import endpoints

    folder = endpoints.find(home(), name)
    lines = folder.last_lines()
    if as_json:
        show.print_json(_row(folder) | {"log": str(folder.log), "last_lines": lines})
        return
    show.print_facts(_said(_row(folder)) | {"log": folder.log})
    for line in lines:
        click.echo(f"    {line}")


@command.command("delete")
@click.argument("name")
def delete_endpoint(name: str) -> None:
    """Stop an endpoint, its accepted requests first, and forget it."""
    from stocktake.stages import deploy

    deploy.delete(name, home=home())
    click.echo(f"{name} is deleted")


def facts_of(endpoint: "Endpoint") -> dict[str, Any]:
    """What is said of an endpoint, with the uptime and the requests it has answered."""
    from stocktake.stages import ask

    is_up = endpoint.status in ("InService", "Updating")
    return {
        "name": endpoint.name,
        "status": endpoint.status,
        "bundle": endpoint.bundle,
        "model": endpoint.model,
        "address": endpoint.address,
        "uptime_s": round(time.time() - endpoint.created, 1) if is_up else None,
        "requests": ask.requests_answered(endpoint.address) if is_up else None,
        "workers": endpoint.ready,
        "restarts": endpoint.restarts,
        "why": endpoint.why,
    }


def _row(folder: "EndpointFolder") -> dict[str, Any]:
    """The facts of the endpoint in that folder; a record that cannot be read has failed."""
    try:
        return facts_of(folder.read())
    except StocktakeError as err:
        return {"name": folder.name, "status": "Failed", "why": str(err)}


def _said(row: dict[str, Any]) -> dict[str, Any]:
    """The same for people: a duration in words, empty where nothing is known."""
    from stocktake.pages.words import seconds

    uptime = row.pop("uptime_s", None)
    said = {**row, "uptime": "" if uptime is None else seconds(uptime)}
    heads = (
        *("name", "status", "bundle", "model", "address", "uptime", "requests", "workers"),
        *("restarts", "why"),
    )
    return {head: "" if said.get(head) is None else said[head] for head in heads}
