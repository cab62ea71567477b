"""ProfilerReport: all profiler rules over what was seen, as JSON and one page of HTML.

out/
├── profiler-report.html            one page, no other file
├── profiler-report.json            the verdicts, in short
└── profiler-reports/<Rule>.json    one rule: status, figures, parameters
"""

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from stocktake.debugger.errors import RuleError
from stocktake.debugger.profile_page import page
from stocktake.debugger.profiling import Status, Verdict, find, names
from stocktake.debugger.samples import Profile, read
from stocktake.debugger.trace import read_operators

PAGE = "profiler-report.html"
SUMMARY = "profiler-report.json"
RULES_FOLDER = "profiler-reports"


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a report says, and where it lies."""

    verdicts: tuple[Verdict, ...]
    """One for each rule, those that fired first."""
    folder: Path

    @property
    def status(self) -> Status:
        """The rule ProfilerReport fires if any of the others does."""
        return "IssuesFound" if self.fired else "NoIssuesFound"

    @property
    def fired(self) -> tuple[str, ...]:
        """Names of the rules that found something."""
        return tuple(one.rule for one in self.verdicts if one.outcome.troubles)

    @property
    def page(self) -> Path:
        """The page for people."""
        return self.folder / PAGE


def write(
    profiler_output: Path,
    out: Path,
    *,
    parameters: Mapping[str, Any] | None = None,
    profile: str = "",
    title: str = "",
) -> Report:
    """Judge what was seen so far, and write it down; may be asked again while a training goes on.

    Args:
        profiler_output: what a profiler wrote.
        out: where the report goes; made if it is not there.
        parameters: named as SageMaker has them, "CPUBottleneck_cpu_threshold".
        profile: set of defaults, "client" or "manual"; empty for the client's.
        title: of the page; empty for the folder's name.

    Raises:
        RecordError: if there is no such folder.
        RuleError: for an unknown rule or parameter, or a value that cannot be.
        OSError: if the report cannot be written.
    """
    seen = read(profiler_output)
    verdicts = judge(seen, parameters or {}, profile)
    made = Report(verdicts=verdicts, folder=out)
    folder = out / RULES_FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    for one in verdicts:
        _replace(folder / f"{one.rule}.json", _json(_details(one)))
    short = [
        {"rule": one.rule, "status": one.status, "judged": one.is_judged}
        | {"messages": [trouble.message for trouble in one.outcome.troubles]}
        | {"note": one.outcome.note}
        for one in verdicts
    ]
    _replace(out / SUMMARY, _json({"status": made.status, "rules": short}))
    title = title or profiler_output.resolve().parent.name
    _replace(out / PAGE, page(seen, verdicts, read_operators(profiler_output), title=title))
    return made


def judge(
    seen: Profile, parameters: Mapping[str, Any] | None = None, profile: str = ""
) -> tuple[Verdict, ...]:
    """What every rule says, those that fired first, then those judged, by their names.

    Raises:
        RuleError: for an unknown rule or parameter, or a value that cannot be.
    """
    given = by_rule(parameters or {})
    verdicts = [find(name).verdict(seen, given.get(name), profile) for name in names()]
    return tuple(
        sorted(verdicts, key=lambda one: (not one.outcome.troubles, not one.is_judged, one.rule))
    )


def by_rule(parameters: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Parameters named "<Rule>_<parameter>", for each rule; the rule's case does not matter.

    Raises:
        RuleError: for a name without an underscore, or an unknown rule.
    """
    made: dict[str, dict[str, Any]] = {}
    for key, value in parameters.items():
        rule, underscore, parameter = key.partition("_")
        if not underscore:
            raise RuleError(
                f"parameter '{key}' of ProfilerReport must be <Rule>_<parameter>,"
                " as CPUBottleneck_cpu_threshold"
            )
        made.setdefault(find(rule).name, {})[parameter] = value
    return made


def _details(one: Verdict) -> dict[str, Any]:
    """A rule's file: SageMaker's five keys, and ours."""
    outcome = one.outcome
    return {
        "RuleTriggered": len(outcome.troubles),
        "Violations": outcome.violations,
        "Details": outcome.details,
        "Datapoints": outcome.datapoints,
        "RuleParameters": "\n".join(f"{name}:{value}" for name, value in one.parameters.items()),
        "Rule": one.rule,
        "Status": one.status,
        "Judged": one.is_judged,
        "Note": outcome.note,
        "Findings": [asdict(trouble) for trouble in outcome.troubles],
        "About": one.about,
        "Advice": one.advice,
    }


def _json(thing: Mapping[str, Any] | Sequence[Any]) -> str:
    return json.dumps(thing, indent=1, default=float, allow_nan=False) + "\n"


def _replace(path: Path, text: str) -> None:
    """Write whole or not at all: somebody may be reading the one before."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_text(text, encoding="utf-8")
        beside.replace(path)
    except OSError:
        beside.unlink(missing_ok=True)
        raise
