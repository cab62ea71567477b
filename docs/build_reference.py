"""Write docs/reference from the code, so that it cannot lie; with --check, only compare.

`make docs` writes, `make check` compares.
"""

import sys
from importlib import import_module
from pathlib import Path

import click

from stocktake import errors
from stocktake.cli.main import main
from stocktake.cli.parts import SHELVES, _parts_on
from stocktake.cli.settings import _rows, _toml
from stocktake.stages import table

HERE = Path(__file__).parent / "reference"
NOTE = (
    "<!-- written by docs/build_reference.py from the code; change the code, then `make docs` -->\n"
)


def commands() -> str:
    """Every command's help, as the command prints it."""
    pages = ["# Commands\n"]
    for path, command in _walk(main, "stocktake"):
        with click.Context(command, info_name=path, max_content_width=90) as ctx:
            help_text = command.get_help(ctx)
        pages.append(f"## {path}\n\n```text\n{help_text}\n```\n")
    return "\n".join(pages)


def _walk(command: click.Command, path: str) -> list[tuple[str, click.Command]]:
    found = [(path, command)]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            found += _walk(inner, f"{path} {name}")
    return found


def settings() -> str:
    """Every setting of every stage, with default and meaning."""
    pages = [
        "# Settings\n",
        "One TOML file, one table per stage; a stage runs when the file has its table.",
        "Above the tables: `name` (of the run), `folder` (that holds runs, `runs`), `plugins`",
        "(modules to import, so that their parts are on the shelves).",
        "Later wins: defaults, file, what `tune` found, `--set a.b=c`.\n",
    ]
    for stage in table.STAGES:
        pages.append(f"## [{stage.name}]\n\n{stage.about}\n")
        pages.append("| setting | default | meaning |\n|---|---|---|")
        for row in _rows(stage):
            about = row["about"].replace("|", "\\|")
            pages.append(f"| `{row['key']}` | `{_toml(row['default'])}` | {about} |")
        pages.append("")
    return "\n".join(pages)


def parts() -> str:
    """Every part on every shelf, with its options."""
    pages = [
        "# Parts\n",
        "Chosen by name in the settings; a table gives options beside the name.\n",
    ]
    for shelf in SHELVES:
        pages.append(f"## {shelf}\n\n{_first_line(SHELVES[shelf][0])}\n")
        pages.append("| part | options | what it is |\n|---|---|---|")
        for part in _parts_on(shelf):
            options = ", ".join(f"`{k} = {v}`" for k, v in part["options"].items()) or "none"
            pages.append(f"| `{part['name']}` | {options} | {part['about']} |")
        pages.append("")
    return "\n".join(pages)


def _first_line(module: str) -> str:
    return (import_module(module).__doc__ or "").strip().split("\n", 1)[0]


def exit_codes() -> str:
    """The tree of errors and the exit code of each."""
    kinds = [errors.StocktakeError, *errors.StocktakeError.__subclasses__()]
    rows = [f"| `{kind.__name__}` | {kind.exit_code} | {kind.__doc__} |" for kind in kinds]
    head = "# Errors and exit codes\n\nEvery failure is one line on stderr: where, what was found,"
    head += " what was expected, what to do.\nA stop by Ctrl-C or SIGTERM exits with 130.\n"
    return "\n".join([head, "| error | exit code | meaning |\n|---|---|---|", *rows, ""])


PAGES = {
    "commands.md": commands,
    "settings.md": settings,
    "parts.md": parts,
    "errors.md": exit_codes,
}


def build(*, check: bool) -> int:
    """Write or compare every page; returns the number of stale ones when comparing."""
    HERE.mkdir(exist_ok=True)
    stale = 0
    for name, page in PAGES.items():
        text = NOTE + page().rstrip() + "\n"
        path = HERE / name
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        if check:
            stale += 1
            print(f"docs/reference/{name} is stale; run `make docs`", file=sys.stderr)
        else:
            path.write_text(text, encoding="utf-8")
            print(f"wrote docs/reference/{name}")
    return stale


if __name__ == "__main__":
    sys.exit(1 if build(check="--check" in sys.argv) else 0)
