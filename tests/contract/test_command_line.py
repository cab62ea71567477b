"""The command line is small and closed: a new option is a decision, and shows here."""

import click

from stocktake.cli.main import main
from stocktake.stages import table

SHARED = {"--set", "--name", "--on", "--json", "--help"}
OPTIONS = {
    "run": SHARED,
    "serve": {"--set", "--fd", "--help"},
    "deploy": {"--name", "--update", "--set", "--json", "--help"},
    "endpoints show": {"--json", "--help"},
    "endpoints delete": {"--help"},
    "parts": {"--json", "--help"},
    "runs list": {"--folder", "--json", "--help"},
    "runs show": {"--folder", "--json", "--help"},
    "runs compare": {"--folder", "--json", "--help"},
    "debug": {"--rule", "--set", "--profile-of", "--watch", "--json", "--help"},
    "profile": {"--set", "--json", "--help"},
    "settings show": {"--json", "--help"},
    "settings check": {"--set", "--json", "--help"},
}
OPTIONS |= {
    stage.name: SHARED | {f"--{thing}" for thing in (*stage.takes, *stage.or_takes)}
    for stage in table.STAGES
    if stage.name != "serve"
}
OPTIONS["train"] |= {"--estimate"}
OPTIONS["predict"] |= {"--endpoint"}


def commands(group: click.Group = main, path: str = "") -> dict[str, click.Command]:
    context = click.Context(group)
    found: dict[str, click.Command] = {}
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        assert command is not None
        if isinstance(command, click.Group):
            found |= commands(command, f"{path}{name} ")
        else:
            found[f"{path}{name}"] = command
    return found


def test_the_list_of_options_is_closed():
    found = {
        name: {opt for p in command.params for opt in p.opts if opt.startswith("-")} | {"--help"}
        for name, command in commands().items()
    }

    assert found == OPTIONS


def test_every_command_and_option_says_what_it_does():
    for name, command in commands().items():
        assert command.help, name
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{name} {parameter.name}"
