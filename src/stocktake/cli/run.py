"""`stocktake run`: the whole way of a settings file, and its report."""

from pathlib import Path
from typing import Any

import click

from stocktake.cli import options
from stocktake.runs.folder import RunFolder
from stocktake.stages import run as driver


@click.command("run")
@options.file_argument
@options.set_option
@options.name_option
@options.on_option
@options.json_option
def command(
    file: Path | None, sets: tuple[str, ...], name: str, engine: str, as_json: bool
) -> None:
    """Walk all stages that a settings file names; skip what is done.

    FILE is a settings file, or the name of a recipe: laptop or report. A stage runs when the file
    has its table. The report is written at the end, as report.html in
    the run's folder; also when a stage fails.
    """
    from stocktake.cli import show

    plan = options.plan_from(file, sets, name=name)
    watch = show.ProgressWatch()
    made: dict[str, RunFolder] = {}
    try:
        for run in driver.run(plan, options.engine_named(engine), watch=watch):
            made[run.stage] = run
    except BaseException:
        watch.close()
        _report_failure(plan.path)
        raise
    watch.close()
    report = _report(plan.path)
    results = {stage: run.result() for stage, run in made.items()}
    if as_json:
        show.print_json({"run": str(plan.path), "report": str(report), "stages": results})
        return
    _headlines(results)
    click.echo(f"report: {report}")


def _report(folder: Path) -> Path:
    from stocktake.pages.report import write_report

    return write_report(folder)


def _report_failure(folder: Path) -> None:
    """Write the report of a walk that ended early; the error that ended it counts."""
    if not folder.is_dir():
        return
    try:
        click.echo(f"report: {_report(folder)}", err=True)
    except Exception as err:
        click.echo(f"warning: the report could not be written: {err}", err=True)


def _headlines(results: dict[str, dict[str, Any]]) -> None:
    """What the run found, in the few lines a person wants to read."""
    from stocktake.cli import show

    card = results.get("evaluate")
    if card:
        click.echo(
            f"accuracy {card['accuracy']:.1%} ({card['accuracy_low']:.1%} to"
            f" {card['accuracy_high']:.1%}) on {card['n']} photos of the {card['fold']} fold;"
            f" always the commonest count: {card['majority_accuracy']:.1%}"
        )
    answers = results.get("serve", {}).get("answers", [])
    keys = {"photo": "photo_id", "true count": "true_count", "predicted": "count"}
    rows = [
        {title: row[key] for title, key in keys.items()}
        | {"confidence": f"{row['confidence']:.0%}"}
        for row in answers
    ]
    show.print_rows(rows)
