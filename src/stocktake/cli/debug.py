"""`stocktake debug`: what rules say of a training, from what it recorded; live or afterwards."""

from typing import TYPE_CHECKING, Any

import click

from stocktake.cli import options
from stocktake.errors import SettingsError
from stocktake.runs import settings as reader
from stocktake.stages import debug
from stocktake.stages.train import RULES

if TYPE_CHECKING:
    from stocktake.debugger.rules import Finding


@click.command("debug")
@click.argument("run")
@click.option(
    "--rule",
    "rules",
    multiple=True,
    metavar="NAME",
    help="Ask this rule, or 'all'; may be repeated. Those that the training asked otherwise.",
)
@options.set_option
@click.option(
    "--profile-of",
    default="",
    metavar="NAME",
    help="Defaults of SageMaker's client, manual or 2019, in place of ours.",
)
@click.option("--watch", "is_live", is_flag=True, help="Judge a training that goes on to its end.")
@options.json_option
def command(
    run: str,
    rules: tuple[str, ...],
    sets: tuple[str, ...],
    profile_of: str,
    is_live: bool,
    as_json: bool,
) -> None:
    """Judge what a training recorded, with rules.

    RUN is a run's name or folder, or the folder of a record, also one that smdebug wrote.
    Parameters are set as in --set VanishingGradient.threshold=1e-6.
    """
    from stocktake.cli import show

    parameters = _parameters(sets)
    rows = []
    for watched in debug.find(run):
        names = rules or (() if parameters else watched.names) or (*parameters,) or RULES
        names = (*names, *parameters) if rules else names
        question = debug.asked(names, more=parameters, profile=profile_of)
        tell = _tell if is_live and not as_json else _hush
        member = {"member": watched.member} if watched.member else {}
        rows += [member | row for row in debug.judge(watched, question, live=is_live, tell=tell)]
    if as_json:
        show.print_json(rows)
        return
    show.print_rows([_short(row) for row in rows])
    for row in rows:
        if row["findings"]:
            click.echo(f"\n{debug.line(row)}")


def _parameters(sets: tuple[str, ...]) -> dict[str, dict[str, Any]]:
    """Parameters by rule. Raises SettingsError for a word that does not name both."""
    found = reader.parse_set(sets)
    for name, given in found.items():
        if not isinstance(given, dict):
            raise SettingsError(
                f"--set takes RULE.PARAMETER=VALUE as in Overfit.patience=2, got '{name}'"
            )
    return found


def _tell(finding: "Finding") -> None:
    click.echo(f"{finding.mode} step {finding.step}: {finding.message}", err=True)


def _hush(finding: "Finding") -> None:
    """The answer will have it."""


def _short(row: dict[str, Any]) -> dict[str, Any]:
    first = row.get("first")
    shown = {"member": row["member"]} if "member" in row else {}
    return shown | {
        "rule": row["RuleConfigurationName"],
        "status": row["RuleEvaluationStatus"],
        "findings": row["findings"],
        "first at": f"{first['mode']} step {first['step']}" if first else "",
        "note": "" if row["findings"] else row["StatusDetails"],
    }
