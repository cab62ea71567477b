"""`stocktake serve`: counts over HTTP from a bundle."""

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from stocktake.cli import container, options
from stocktake.runs import settings as reader

if TYPE_CHECKING:
    from stocktake.stages.serve import ServeSettings


@click.command("serve")
@click.argument("bundle", type=click.Path(path_type=Path), required=False)
@options.set_option
@click.option("--fd", type=int, hidden=True, help="Listening socket, from a supervisor.")
def command(bundle: Path | None, sets: tuple[str, ...], fd: int | None) -> None:
    """Answer counts over HTTP from a BUNDLE, until stopped.

    BUNDLE is a bundle's folder, or a run that has one (runs/demo). Settings as in [serve]:
    --set serve.port=8080. In a container that has a model in /opt/ml/model, BUNDLE may be left out.
    """
    from stocktake.stages.serve import ServeSettings, serve_forever

    table = serve_table(sets)
    if bundle is None:
        bundle = container.model_folder(os.environ)
        table = container.serve_table(os.environ) | table
    settings = reader.build(ServeSettings, table, where="serve")
    if fd is not None:
        from stocktake.serve.supervisor import end_with_supervisor

        end_with_supervisor()
    if settings.processes == 1:
        serve_forever(bundle_in(bundle), settings, ready=click.echo, fd=fd)
    else:
        _serve_many(bundle_in(bundle), settings)


def serve_table(sets: tuple[str, ...]) -> dict[str, Any]:
    """The table [serve] of --set words, which may set nothing else."""
    tables = reader.parse_set(sets)
    other = set(tables) - {"serve"}
    if other:
        raise click.UsageError(f"--set here takes serve.KEY, got '{sorted(other)[0]}'")
    return dict(tables.get("serve", {}))


def _serve_many(bundle: Path, settings: "ServeSettings") -> None:
    from stocktake.stages.supervise import serve_many

    with tempfile.TemporaryDirectory(prefix="stocktake-") as metrics:
        os.environ["PROMETHEUS_MULTIPROC_DIR"] = metrics  # for the processes it starts
        serve_many(
            bundle,
            settings,
            ready=click.echo,
            say=lambda line: click.echo(line, err=True),
            metrics=Path(metrics),
        )


def bundle_in(path: Path) -> Path:
    """The bundle's folder: the path itself, or the one inside a run or an export."""
    for inside in ("", "bundle", "artifacts/bundle", "export/artifacts/bundle"):
        if (path / inside / "bundle.json").exists():
            return path / inside
    if not path.is_dir():
        raise click.UsageError(f"there is no folder {path}; name a bundle, or a run that has one")
    raise click.UsageError(f"{path} holds no bundle (no bundle.json); `stocktake export` makes one")
