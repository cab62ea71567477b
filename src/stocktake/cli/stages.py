"""The stage commands, generated from the table: `stocktake split FILE` and its like."""

import json
from pathlib import Path
from typing import Any

import click

from stocktake.cli import options
from stocktake.errors import SettingsError
from stocktake.stages import recipes
from stocktake.stages import run as driver
from stocktake.stages.table import Stage, giver


def command_of(stage: Stage) -> click.Command:
    """The command that makes one stage of a run."""

    def call(
        file: str | None,
        sets: tuple[str, ...],
        name: str,
        engine: str,
        as_json: bool,
        is_estimate: bool = False,
        **inputs: str | None,
    ) -> None:
        """Make the stage and print its result."""
        from stocktake.cli import show

        given = {thing: address for thing, address in inputs.items() if address}
        if stage.reads_photos and file and _holds_photos(file):
            sets, file = (f"{stage.name}.source={json.dumps(file)}", *sets), None
            if stage.or_takes and not set(stage.or_takes) & set(given):
                raise SettingsError(
                    f"{stage.name} of a folder needs --{stage.or_takes[0]} RUN, the run whose"
                    f" {stage.or_takes[0]} is judged on these photos"
                )
        plan = options.plan_from(Path(file) if file else None, sets, name=name, inputs=given)
        if is_estimate:
            found = driver.estimate(plan, stage)
            (show.print_json if as_json else show.print_facts)(found)
            return
        watch = show.ProgressWatch()
        try:
            made = driver.make(plan, stage, options.engine_named(engine), watch=watch)
        finally:
            watch.close()
        answer: dict[str, Any] = {"run": str(made.path), **made.result()}
        (show.print_json if as_json else show.print_facts)(answer)

    function: options.Command = call
    shared = (options.json_option, options.on_option, options.name_option, options.set_option)
    for decorate in shared:
        function = decorate(function)
    if stage.has_estimate:
        function = options.estimate_option(function)
    for thing in reversed((*stage.takes, *stage.or_takes)):
        text = f"Take {thing} from this {giver(thing).name} run instead of this run's own."
        function = click.option(f"--{thing}", metavar="RUN", help=text)(function)
    function = click.argument("file", required=False)(function)
    return click.command(stage.name, help=_help(stage))(function)


def _holds_photos(file: str) -> bool:
    """Whether what stands where a settings file would is an address of photos.

    Raises:
        SettingsError: if it is neither that, nor a file, nor looks like a recipe's name.
    """
    if not Path(file).exists() and "/" in file and not file.startswith("s3://"):
        raise SettingsError(f"there is neither a settings file nor a folder of photos {file}")
    return file.startswith("s3://") or Path(file).is_dir()


def _help(stage: Stage) -> str:
    takes = f"Takes {', '.join(stage.takes)}." if stage.takes else "Starts a run."
    if stage.reads_photos:
        takes += (
            "\n\nFILE may also be a folder of photos or s3://BUCKET/PREFIX, never ingested: with"
            f" --bundle RUN, `stocktake {stage.name} FOLDER` is all it takes."
        )
    return (
        f"{stage.about} {takes}\n\nFILE is a settings file, or the name of a recipe"
        f" ({', '.join(recipes.names())}); without one, stocktake.toml here, else defaults."
        f" `stocktake settings show {stage.name}` lists the settings."
    )
