"""`stocktake profile`: how a training spent its time, as a page; while it goes on or afterwards."""

from typing import Any

import click

from stocktake.cli import options
from stocktake.cli.debug import _parameters
from stocktake.stages import debug


@click.command("profile")
@click.argument("run")
@options.set_option
@options.json_option
def command(run: str, sets: tuple[str, ...], as_json: bool) -> None:
    """Write the page of a training's profile, and say what its rules found.

    RUN is a run's name or folder. Parameters are set as in --set CPUBottleneck.threshold=40.
    """
    from stocktake.cli import show

    given = _parameters(sets)
    parameters = {f"{rule}_{key}": value for rule, of in given.items() for key, value in of.items()}
    rows: list[dict[str, Any]] = []
    for watched in debug.find(run):
        made = debug.page(watched, parameters=parameters)
        for one in made.verdicts:
            messages = [trouble.message for trouble in one.outcome.troubles]
            status = one.status if one.is_judged else "not judged"
            said = "; ".join(messages) or one.outcome.note.removeprefix("not judged: ")
            rows.append(
                ({"member": watched.member} if watched.member else {})
                | {"rule": one.rule, "status": status, "said": said}
            )
        if not as_json:
            click.echo(f"page: {made.page}\n")
            show.print_rows([row for row in rows if row.get("member", "") == watched.member])
            for one in made.verdicts:
                if one.outcome.troubles:
                    click.echo(f"\n{one.rule}: {one.advice}")
    if as_json:
        show.print_json(rows)
