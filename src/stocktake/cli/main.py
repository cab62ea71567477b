"""The `stocktake` command: its list of words, and how it ends."""

import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Callable
from importlib import import_module

import click

from stocktake import __version__
from stocktake.errors import StocktakeError, from_os, nearest, not_installed
from stocktake.stages import table

OTHERS = {
    "run": "Walk all stages of a settings file; skip what is done.",
    "deploy": "Serve a bundle under a name, in the background.",
    "endpoints": "List, show and delete what is deployed here.",
    "runs": "List, show and compare runs.",
    "debug": "Judge what a training recorded, with rules.",
    "profile": "Say how a training spent its time.",
    "settings": "Show or check the settings of a file.",
    "parts": "Say what is on the shelves, with options.",
}
"""Commands beside the stages, each in a module of its own name with a `command`."""
OWN = ("predict", "serve")
"""Stages whose command does more than make the stage; in modules as well."""


def _about() -> dict[str, str]:
    texts = {stage.name: stage.about for stage in table.STAGES}
    texts["serve"] = "Answer counts over HTTP from a bundle."  # in a run, it proves one
    return texts | OTHERS


class Words(click.Group):
    """A group whose words are known without importing them, so that --help is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Every word: the stages in their order, then the others."""
        return list(_about())

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The word's command, imported now."""
        if name not in _about():
            return None
        if name in OTHERS or name in OWN:
            module = import_module(f"stocktake.cli.{name}")
            command: click.Command = module.command
            return command
        from stocktake.cli.stages import command_of

        return command_of(table.find(name))

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command to call; an unknown word is answered with the nearest one."""
        if args and args[0] not in _about() and not args[0].startswith("-"):
            raise click.UsageError(f"there is no command '{args[0]}'; {nearest(args[0], _about())}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list of words with a line each, without importing what they do."""
        about = _about()
        stages = [(name, about[name]) for name in table.names()]
        others = list(OTHERS.items())
        for title, rows in (("Stages, in the way of the data", stages), ("Beside them", others)):
            with formatter.section(title):
                formatter.write_dl(rows)


@click.command(
    cls=Words,
    no_args_is_help=False,
    invoke_without_command=True,
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(__version__, prog_name="stocktake", message="%(prog)s %(version)s")
@click.pass_context
def main(ctx: click.Context) -> None:
    """Counts from photos of warehouse bins: from a bucket to a served model.

    Every stage reads one settings file (stocktake.toml here, if none is named) and works in the
    run folder that the file names. Start with: stocktake run examples/demo.toml
    """
    if ctx.invoked_subcommand is None:
        click.echo(ctx.get_help())


def entry() -> None:
    """Run the command; every failure is one line on stderr and an exit code."""
    for number in (signal.SIGTERM, signal.SIGHUP):  # a closed terminal stops jobs as Ctrl-C does
        signal.signal(number, signal.default_int_handler)
    sys.exit(_ends(lambda: main(standalone_mode=False)))


def _ends(call: Callable[[], object]) -> int:
    try:
        answer = call()
        sys.stdout.flush()
    except click.exceptions.Exit as err:
        return err.exit_code
    except (click.Abort, KeyboardInterrupt):
        return _fail("stopped; what was finished stays finished, run it again to go on", 130)
    except click.exceptions.NoArgsIsHelpError as err:
        click.echo(err.format_message())
        return 0
    except click.ClickException as err:
        return _fail(_one_line(err), 2)
    except StocktakeError as err:
        return _fail(str(err), err.exit_code)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except ModuleNotFoundError as err:
        return _fail(str(not_installed("this command", err)), 1)
    except OSError as err:
        return _fail(str(from_os(err)), 1)
    except Exception as err:
        return _fail(_unexpected(err), 1)
    return answer if isinstance(answer, int) else 0


def _unexpected(err: Exception) -> str:
    """A fault of ours in one line; the trace goes to a file, for whoever mends it."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="stocktake-", suffix=".log", delete=False, encoding="utf-8"
    ) as file:
        file.write(traceback.format_exc())
    text = " ".join(str(err).split())
    return f"a fault of stocktake's own, {type(err).__name__}: {text}; the trace is in {file.name}"


def _one_line(err: click.ClickException) -> str:
    text = " ".join(err.format_message().split())
    context = getattr(err, "ctx", None)
    if isinstance(err, click.UsageError) and context is not None:
        text = f"{text[:1].lower()}{text[1:].rstrip('.')} (see `{context.command_path} --help`)"
    return text


def _fail(text: str, code: int) -> int:
    click.echo(f"error: {text}", err=True)
    return code
