"""`stocktake serve`: counts over HTTP from a bundle."""

from pathlib import Path

import click

from stocktake.cli import options
from stocktake.runs import settings as reader


@click.command("serve")
@click.argument("bundle", type=click.Path(path_type=Path))
@options.set_option
def command(bundle: Path, sets: tuple[str, ...]) -> None:
    """Answer counts over HTTP from a BUNDLE, until stopped.

    BUNDLE is a bundle's folder, or a run that has one (runs/demo). Settings as in [serve]:
    --set serve.port=8080.
    """
    from stocktake.stages.serve import ServeSettings, serve_forever

    tables = reader.parse_set(sets)
    other = set(tables) - {"serve"}
    if other:
        raise click.UsageError(f"--set here takes serve.KEY, got '{sorted(other)[0]}'")
    settings = reader.build(ServeSettings, tables.get("serve", {}), where="serve")
    serve_forever(_bundle_in(bundle), settings, ready=click.echo)


def _bundle_in(path: Path) -> Path:
    """The bundle's folder: the path itself, or the one inside a run or an export."""
    for inside in ("", "bundle", "artifacts/bundle", "export/artifacts/bundle"):
        if (path / inside / "bundle.json").exists():
            return path / inside
    if not path.is_dir():
        raise click.UsageError(f"there is no folder {path}; name a bundle, or a run that has one")
    raise click.UsageError(f"{path} holds no bundle (no bundle.json); `stocktake export` makes one")
