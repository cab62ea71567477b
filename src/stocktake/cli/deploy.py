"""`stocktake deploy`: a bundle served under a name, in the background."""

import os
from pathlib import Path

import click

from stocktake.cli import options
from stocktake.cli.endpoints import facts_of, home
from stocktake.cli.serve import bundle_in, serve_table


@click.command("deploy")
@click.argument("bundle", type=click.Path(path_type=Path))
@click.option("--name", required=True, metavar="NAME", help="Name of the endpoint.")
@click.option(
    "--update",
    "is_update",
    is_flag=True,
    help="Exchange the bundle of an endpoint that runs; no request is dropped.",
)
@options.set_option
@options.json_option
def command(bundle: Path, name: str, is_update: bool, sets: tuple[str, ...], as_json: bool) -> None:
    """Serve a BUNDLE under a name, in the background.

    BUNDLE is a bundle's folder, or a run that has one (runs/demo); the endpoint keeps a copy.
    Settings as in [serve]: --set serve.port=8080, --set serve.processes=2. An update keeps those
    that it does not name.
    """
    from stocktake.cli import show
    from stocktake.stages import deploy

    table = serve_table(sets)
    folder = bundle_in(bundle)
    if is_update:
        made = deploy.update(folder, name=name, home=home(), table=table)
    else:
        made = deploy.deploy(
            folder, name=name, home=home(), table=table, environment=dict(os.environ)
        )
    if as_json:
        show.print_json(facts_of(made))
    else:
        click.echo(f"{made.name} serves bundle {made.bundle} at {made.address}")
