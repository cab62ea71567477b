"""`stocktake runs`: what lies in the folder of runs; no database, it reads folders."""

import time
from pathlib import Path
from typing import Any

import click

from stocktake.cli import options
from stocktake.errors import RunError, StocktakeError, nearest
from stocktake.runs.folder import RunFolder
from stocktake.stages import table

folder_option = click.option(
    "--folder",
    default="runs",
    type=click.Path(path_type=Path),
    show_default=True,
    help="Folder that holds the runs.",
)


@click.group("runs")
def command() -> None:
    """List, show and compare runs."""


@command.command("list")
@folder_option
@options.json_option
def list_runs(folder: Path, as_json: bool) -> None:
    """List runs: stages, status, accuracy."""
    from stocktake.cli import show

    rows = [_row(path) for path in _runs_in(folder)]
    if as_json:
        show.print_json(rows)
    elif rows:
        show.print_rows([{**row, "stages": _said(row["stages"])} for row in rows])
    else:
        click.echo(f"no runs in {folder}")


@command.command("show")
@click.argument("name")
@folder_option
@options.json_option
def show_run(name: str, folder: Path, as_json: bool) -> None:
    """Show one run, stage by stage."""
    from stocktake.cli import show
    from stocktake.pages import words

    rows = [_stage_row(run) for run in _stages_in(_find(folder, name))]
    if as_json:
        show.print_json(rows)
        return
    for row in rows:
        took = f" in {words.seconds(row['seconds'])}" if row["seconds"] is not None else ""
        click.echo(f"{row['stage']}: {row['status']}{took}")
        for key, value in (row["result"] or {}).items():
            click.echo(f"    {key}: {show.brief(value)}")
        if row["error"]:
            click.echo(f"    error: {row['error']}")


@command.command("compare")
@click.argument("names", nargs=-1, required=True)
@folder_option
@options.json_option
def compare_runs(names: tuple[str, ...], folder: Path, as_json: bool) -> None:
    """Compare scorecards and training settings."""
    from stocktake.cli import show

    rows = [_scores_of(_find(folder, name)) for name in names]
    if as_json:
        show.print_json(rows)
        return
    settings = [row.pop("train_settings") for row in rows]
    show.print_rows(rows)
    for key in sorted({key for table_ in settings for key in table_}):
        values = [table_.get(key) for table_ in settings]
        if any(value != values[0] for value in values):
            click.echo(f"train.{key}: " + " | ".join(show.brief(value) for value in values))


def _runs_in(folder: Path) -> list[Path]:
    if not folder.is_dir():
        raise RunError(f"there is no folder {folder}; name the folder of runs with --folder")
    return sorted(path for path in folder.iterdir() if path.is_dir() and _stages_in(path))


def _find(folder: Path, name: str) -> Path:
    known = [path.name for path in _runs_in(folder)]
    if name not in known:
        raise RunError(f"there is no run '{name}' in {folder}; {nearest(name, known)}")
    return folder / name


def _stages_in(path: Path) -> list[RunFolder]:
    runs = [RunFolder(path / stage) for stage in table.names()]
    return [run for run in runs if run.exists()]


def _row(path: Path) -> dict[str, Any]:
    runs = _stages_in(path)
    infos = [run.info() for run in runs]
    started = min(info["started"] for info in infos)
    row: dict[str, Any] = {"run": path.name}
    row["started"] = time.strftime("%Y-%m-%d %H:%M", time.localtime(started))
    row["stages"] = {info["stage"]: info["status"] for info in infos}
    row["accuracy"] = _scores_of(path).get("accuracy", "")
    return row


def _said(stages: dict[str, str]) -> str:
    odd = [f"{stage} {status}" for stage, status in stages.items() if status != "done"]
    return ", ".join([f"{len(stages) - len(odd)} done", *odd])


def _stage_row(run: RunFolder) -> dict[str, Any]:
    info = run.info()
    result = run.result() if info["status"] == "done" else None
    error = (info.get("error") or {}).get("message")
    row = {key: info.get(key) for key in ("stage", "status", "attempts", "seconds")}
    return {**row, "result": result, "error": error}


SCORES = ("n", "accuracy", "accuracy_low", "accuracy_high", "rmse", "within_one", "ece")


def _scores_of(path: Path) -> dict[str, Any]:
    row: dict[str, Any] = {"run": path.name}
    try:
        card = RunFolder(path / "evaluate").result()
    except StocktakeError:
        card = {}
    row |= {key: card.get(key, "") for key in SCORES}
    train = RunFolder(path / "train")
    row["train_settings"] = train.settings() if train.exists() else {}
    return row
