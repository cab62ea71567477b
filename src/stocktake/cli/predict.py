"""`stocktake predict`: the stage's own command, which may also ask a named endpoint."""

from pathlib import Path
from typing import Any

import click

from stocktake.cli.stages import command_of
from stocktake.errors import EngineError
from stocktake.stages import table


def _made() -> click.Command:
    """The command of the stage, with one argument and one option more."""
    made = command_of(table.find("predict"))
    make_stage = made.callback
    assert make_stage is not None

    def call(endpoint: str, photos: tuple[str, ...], **rest: Any) -> int | None:
        if endpoint:
            return _ask(endpoint, photos, **rest)
        if photos:
            raise click.UsageError("several photos are for --endpoint NAME; else name their folder")
        make_stage(**rest)
        return None

    about = (
        "Ask the endpoint of that name about photos, each a file: `stocktake predict --endpoint"
        " NAME PHOTO...`; nothing is kept."
    )
    made.params.insert(1, click.Argument(["photos"], nargs=-1, metavar="[PHOTO]..."))
    made.params.append(click.Option(["--endpoint"], default="", metavar="NAME", help=about))
    made.callback = call
    return made


command = _made()


def _ask(endpoint: str, photos: tuple[str, ...], **rest: Any) -> int:
    """A line per photo as the answers come; 1 if one of them was refused."""
    from stocktake.cli import show
    from stocktake.cli.endpoints import home
    from stocktake.runs import endpoints
    from stocktake.stages import ask

    file, as_json = rest.pop("file"), rest.pop("as_json")
    if any(value for name, value in rest.items() if name != "engine"):
        raise click.UsageError("--endpoint takes photos and --json, nothing else")
    if not file:
        raise click.UsageError("--endpoint needs photos; name their files")
    found = endpoints.find(home(), endpoint).read()
    if found.status in ("Failed", "Stopped"):
        raise EngineError(
            f"endpoint {endpoint} is {found.status}; {found.why or 'deploy it again'}"
        )
    names = [file, *photos]
    rows = []
    width = max(map(len, [*names, "photo"]))
    if not as_json:
        click.echo(f"{'photo':<{width}}  count  confidence  interval  decision")
    for row in ask.ask(found.address, [Path(name) for name in names]):
        rows.append(row)
        if not as_json:
            click.echo(_line(row, width))
    if as_json:
        show.print_json(rows)
    return 1 if any("error" in row for row in rows) else 0


def _line(row: dict[str, Any], width: int) -> str:
    if "error" in row:
        return f"{row['photo']:<{width}}  error: {row['error']}"
    interval = f"{row['low']} to {row['high']}"
    return (
        f"{row['photo']:<{width}}  {row['count']:>5}  {row['confidence']:>10.2f}"
        f"  {interval:<8}  {row.get('decision', '')}"
    ).rstrip()
