"""`stocktake runs`: what lies in the folder of runs; no database, it reads folders."""

import json
import time
from os.path import commonprefix
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
    """Compare scorecards, each run with the first in pairs, and settings that differ.

    Pairs are photos of the same test fold: the difference, its 95 % interval over sibling groups,
    and how likely one as large is between equals.
    """
    from stocktake.cli import show

    paths = [_find(folder, name) for name in dict.fromkeys(names)]
    cards = [_scores_of(path) for path in paths]
    settings = {
        path.name: {run.path.name: run.settings() for run in _stages_in(path)} for path in paths
    }
    pairs = {path.name: _paired(paths[0], path) for path in paths[1:]}
    if as_json:
        show.print_json(
            [
                card | {"paired": pairs.get(card["run"]), "settings": settings[card["run"]]}
                for card in cards
            ]
        )
        return
    show.print_rows([{HEADS.get(key, key): value for key, value in card.items()} for card in cards])
    for name, found in pairs.items():
        click.echo()
        if isinstance(found, str):
            click.echo(f"no pairs: {found}")
        else:
            head = f"{name} less {paths[0].name}"
            show.print_rows([{head: figure} | row for figure, row in found.items()])
    if rows := _differing(settings):
        click.echo()
        show.print_rows(_narrowed(rows))


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


def _paired(first: Path, second: Path) -> dict[str, dict[str, Any]] | str:
    """The difference of every figure, or why there is none."""
    from stocktake.stages import compare

    try:
        found = compare.paired(RunFolder(first / "evaluate"), RunFolder(second / "evaluate"))
    except StocktakeError as err:
        return str(err)
    names = ("value", "low", "high", "p", "n", "groups")
    return {figure: {name: getattr(one, name) for name in names} for figure, one in found.items()}


SCORES = ("n", "accuracy", "accuracy_low", "accuracy_high", "rmse", "within_one", "ece")
HEADS = {"accuracy_low": "low", "accuracy_high": "high"}
"""Shorter titles where accuracy stands beside them."""
WIDTH = 80
"""Columns that a comparison keeps to, with up to four runs."""
LEAST = 10
ABSENT = "-"


def _scores_of(path: Path) -> dict[str, Any]:
    try:
        card = RunFolder(path / "evaluate").result()
    except StocktakeError:
        card = {}
    return {"run": path.name, **{key: card.get(key, "") for key in SCORES}}


def _differing(settings: dict[str, dict[str, Any]]) -> list[dict[str, str]]:
    """A row per setting that is not the same in all runs that made its stage, in the way's order.

    A stage that some of the runs do not have has a row that says so.
    """
    rows: list[dict[str, str]] = []
    for stage in table.names():
        flat = {run: _flat(of[stage]) for run, of in settings.items() if stage in of}
        if 0 < len(flat) < len(settings):
            made = {run: "made" if run in flat else ABSENT for run in settings}
            rows.append({"setting": stage} | made)
        for key in dict.fromkeys(key for of in flat.values() for key in of):
            texts = {run: of.get(key, ABSENT) for run, of in flat.items()}
            if len(set(texts.values())) > 1:
                row = {run: texts.get(run, ABSENT) for run in settings}
                rows.append({"setting": f"{stage}.{key}"} | row)
    return rows


def _flat(settings: dict[str, Any], above: str = "") -> dict[str, str]:
    """Text of every setting by its dotted name, as `--set` takes it."""
    found: dict[str, str] = {}
    for key, value in settings.items():
        if value and isinstance(value, dict):
            found |= _flat(value, f"{above}{key}.")
        else:
            is_word = value and isinstance(value, str)
            found[above + key] = value if is_word else json.dumps(value, ensure_ascii=False)
    return found


def _narrowed(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    """The rows with long texts cut, so that a line keeps to WIDTH; `--json` has them whole."""
    longest = max(len(row["setting"]) for row in rows)
    room = max(LEAST, (WIDTH - longest) // (len(rows[0]) - 1) - 2)
    return [
        {"setting": row["setting"]}
        | _cut({run: text for run, text in row.items() if run != "setting"}, room)
        for row in rows
    ]


def _cut(texts: dict[str, str], room: int) -> dict[str, str]:
    """Texts no longer than `room`: what all begin with goes first, as it tells nothing apart."""
    if max(map(len, texts.values())) <= room:
        return texts
    told = {text for text in texts.values() if text != ABSENT}
    alike = len(commonprefix(list(told))) if len(told) > 1 else 0
    found = {}
    for run, text in texts.items():
        cut = "\N{HORIZONTAL ELLIPSIS}" + text[alike:] if text in told and alike > 1 else text
        found[run] = cut if len(cut) <= room else cut[: room - 1] + "\N{HORIZONTAL ELLIPSIS}"
    return found
