"""Debug: judge the record of a training with rules, while it grows or afterwards.

run/debug-output/               what was recorded; of several members a folder each, member-1...
run/profiler-output/            what the profiler saw
run/rule-output/<Rule>.json     what each rule says
run/rule-output/ProfilerReport/ the profiler's page
"""

import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, RunError, SettingsError, nearest
from stocktake.runs import journal
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.debugger.check import Choice, Verdict
    from stocktake.debugger.files import Reader
    from stocktake.debugger.profile_report import Report
    from stocktake.debugger.records import Record
    from stocktake.debugger.records import Row as Seen
    from stocktake.debugger.rules import Finding

RECORD, PROFILE, RULES = "debug-output", "profiler-output", "rule-output"
REPORT = "ProfilerReport"
"""The rule that all profiler rules are together, and its folder in rule-output."""
ALL = "all"
"""Instead of rules: every rule that can judge with its defaults."""
POLL_S = 0.5
"""How often a growing record is looked at, seconds."""

Row = dict[str, Any]
"""How a rule stands, as it is written: SageMaker's keys, and ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Watched:
    """What a training left for rules, in one folder of each kind."""

    record: Path
    profile: Path
    rules: Path
    """Where verdicts go."""
    names: tuple[Any, ...] = ()
    """The rules that the training itself asked."""
    member: str = ""
    """Which of several trainings; empty for one alone."""
    run: RunFolder | None = None
    """None where the record is not of a run of ours."""

    @property
    def is_growing(self) -> bool:
        """Whether the run still says so."""
        return self.run is not None and self.run.status == "running"


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """Rules, sorted by what they look at; rules of a kind in the order they were named."""

    of_record: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    """Names, and parameters that were set."""
    of_profile: tuple[tuple[str, Mapping[str, Any]], ...] = ()
    profile_of: str = ""
    """Whose defaults: "client", "manual", "2019"; empty for those that fit trainings of ours."""

    def choices(self, steps: int) -> list["Choice"]:
        """The rules of the record, ready to judge one with so many steps in an epoch."""
        from stocktake.debugger.check import Chosen
        from stocktake.debugger.rules import find

        fitting = {} if self.profile_of else usual(steps)
        return [
            Chosen(rule=find(name), parameters={**fitting.get(name, {}), **given})
            for name, given in self.of_record
        ]

    def sieved(self, rows: Iterable["Seen"]) -> Iterable["Seen"]:
        """Rows without those that mislead rules.

        A shift before a batch norm is taken off by it, so its gradient is 0 but for rounding: 1e-8
        to 1e-10 in a healthy tf_efficientnet_lite0 (log 2026-11-25), as if it had vanished.
        """
        if self.profile_of:
            return rows
        return [
            row for row in rows if row.collection != "gradients" or not row.name.endswith(".bias")
        ]


def usual(steps: int) -> dict[str, dict[str, Any]]:
    """Parameters with which rules judge trainings of ours, whose record has every step's loss.

    Losses of single steps rise and fall by more than a few per cent, so rules that compare two of
    them would fire in every training; here they compare epochs. Gradients of a healthy
    tf_efficientnet_lite0 lie within 2e-3 (batches of 32, log 2026-11-25), and within less the
    larger the batch, so a thousandth would say little.

    Args:
        steps: training steps in an epoch.
    """
    steps = max(steps, 5)
    epochs = {"tensor_regex": "^train_loss$", "use_losses_collection": False, "mode": "eval"}
    return {
        "LossNotDecreasing": {**epochs, "num_steps": 1},
        "Overtraining": {"patience_train": 2 * steps, "patience_validation": 3},
        "PoorWeightInitialization": {
            "steps": steps,
            "patience": steps - 1,
            "distribution_range": 1e-5,
        },
    }


def asked(
    rules: Iterable[Any], *, more: Mapping[str, Mapping[str, Any]] | None = None, profile: str = ""
) -> Asked:
    """Rules by their names, looked up, and their parameters tried.

    Args:
        rules: names, or tables with a name and parameters; "all" for every one of the record.
        more: parameters by rule, over these.
        profile: whose defaults; see `Asked`.

    Raises:
        SettingsError: for an unknown rule or parameter, with the nearest name.
    """
    from stocktake.debugger import check, profile_report, profiling
    from stocktake.debugger import rules as shelf
    from stocktake.debugger.errors import RuleError

    named: dict[str, dict[str, Any]] = {}
    for one in rules:
        given: dict[str, Any] = {"name": one} if isinstance(one, str) else dict(one)
        name = str(given.pop("name", ""))
        every = [chosen.rule.name for chosen in check.choose(None)] if name == ALL else [name]
        named |= {_known(word): given for word in every}
    for name, parameters in (more or {}).items():
        named[_known(name)] = {**named.get(_known(name), {}), **parameters}
    of_record = tuple((name, given) for name, given in named.items() if name in shelf.RULES)
    of_profile = tuple((name, given) for name, given in named.items() if name not in shelf.RULES)
    found = Asked(of_record=of_record, of_profile=of_profile, profile_of=profile)
    try:
        for one in found.choices(1):
            if isinstance(one, check.Chosen):
                one.rule.with_parameters(one.parameters, profile)
        for name, given in of_profile:
            parts: Mapping[str, Mapping[str, Any]] = {name: given}
            parts = profile_report.by_rule(given) if name == REPORT else parts
            for part, parameters in parts.items():
                profiling.find(part).set(parameters, _of_profiler(profile))
    except RuleError as err:
        raise SettingsError(str(err)) from None
    return found


def _known(name: str) -> str:
    """The name as the shelf has it. Raises SettingsError with the nearest one."""
    from stocktake.debugger import profiling
    from stocktake.debugger import rules as shelf

    known = [*shelf.names(), *profiling.names(), REPORT]
    plain = {one.lower(): one for one in known}
    if (word := name.lower().replace("-", "").replace("_", "")) not in plain:
        raise SettingsError(f"there is no rule '{name}'; {nearest(name, known)}")
    return plain[word]


def _of_profiler(profile: str) -> str:
    """Profiler rules have no defaults of 2019."""
    return "" if profile == "2019" else profile


def find(address: str, folder: Path = Path("runs")) -> list[Watched]:
    """What lies at an address: a run's name or folder, its train folder, or a record's own folder.

    Raises:
        RunError: if nothing was recorded there.
    """
    place = Path(address)
    for run in (place / "train", place, folder / address / "train"):
        if (run / RECORD).is_dir() or (run / PROFILE).is_dir():
            return list(_members(run))
    if place.is_dir() and _is_record(place):
        return [Watched(record=place, profile=place.with_name(PROFILE), rules=place / RULES)]
    raise RunError(
        f"{address} holds no {RECORD}; name a run in {folder}/, its folder or a record's own;"
        " trainings with record_every = 0 leave none"
    )


def _is_record(place: Path) -> bool:
    from stocktake.debugger.smdebug import is_smdebug

    return any(place.glob("part-*.parquet")) or is_smdebug(place)


def _members(path: Path) -> Iterator[Watched]:
    run = RunFolder(path)
    known = run.exists()
    names = tuple(run.settings().get("rules", ())) if known else ()
    kinds = (RECORD, PROFILE)
    members = sorted({one.name for kind in kinds for one in (path / kind).glob("member-*")})
    for member in members or [""]:
        yield Watched(
            record=path / RECORD / member,
            profile=path / PROFILE / member,
            rules=path / RULES / member,
            names=names,
            member=member,
            run=run if known else None,
        )


def steps_in_epoch(record: "Record") -> int:
    """Training steps before the first validation, which ends an epoch; all if there was none."""
    trained, validated = record.steps("train"), record.steps("eval")
    if not validated:
        return len(trained)
    first = validated[0]
    when = record.time("eval", first)
    before = [step for step in trained if record.time("train", step) <= when]
    return (before[-1] + 1) // (first + 1) if before else len(trained)


def judge(
    watched: Watched,
    question: Asked,
    *,
    live: bool = False,
    tell: Callable[["Finding"], None] = lambda finding: None,
) -> list[Row]:
    """How each rule stands, as rows; the record's rules first.

    Args:
        watched: what a training left.
        question: the rules.
        live: wait for the end of a training that goes on; else it is judged as it is.
        tell: told of each finding as it is made.

    Raises:
        DataError: if the record cannot be read.
    """
    from stocktake.debugger.errors import DebuggerError

    try:
        rows = _of_record(watched, question, live, tell) if question.of_record else []
        return rows + profiled(watched, question)
    except DebuggerError as err:
        raise DataError(str(err)) from None


def _of_record(
    watched: Watched, question: Asked, live: bool, tell: Callable[["Finding"], None]
) -> list[Row]:
    from stocktake.debugger import check, files, smdebug
    from stocktake.debugger.records import Record

    if smdebug.is_smdebug(watched.record):
        record, ended, reader = smdebug.read(watched.record), True, None
    else:
        reader = files.Reader(watched.record)
        record, ended = Record(question.sieved(reader.new())), False
    while live and reader and reader.end is None and not record.steps("eval"):
        if not _waits(watched, question, reader, record):
            break
    choices = question.choices(steps_in_epoch(record))
    judge = check.Check(record, choices, profile=question.profile_of)
    while live and reader is not None:
        for found in judge.update(now=time.time()):
            tell(found)
        if not _waits(watched, question, reader, record):
            break
    ended = ended or (reader is not None and (reader.end is not None or not watched.is_growing))
    for found in judge.update(ended=ended):
        tell(found)
    return [row_of(*pair) for pair in zip(judge.verdicts(), choices, strict=True)]


def _waits(watched: Watched, question: Asked, reader: "Reader", record: "Record") -> bool:
    """Wait for more rows and take them; no when none will come."""
    ends = reader.end is not None or not watched.is_growing
    if not ends:
        time.sleep(POLL_S)
    record.extend(question.sieved(reader.new()))
    return not ends


def row_of(verdict: "Verdict", choice: "Choice") -> Row:
    """A verdict as it is written."""
    from stocktake.debugger.check import Chosen

    given = dict(choice.parameters) if isinstance(choice, Chosen) else {}
    return {**verdict.as_json(), "parameters": given}


def profiled(watched: Watched, question: Asked, *, title: str = "") -> list[Row]:
    """How the profiler's rules stand; the page is written if ProfilerReport is among them."""
    if not question.of_profile or not watched.profile.is_dir():
        return []
    from stocktake.debugger import profiling, samples

    defaults = _of_profiler(question.profile_of)
    seen = samples.read(watched.profile)
    rows = []
    for name, given in question.of_profile:
        if name == REPORT:
            rows.append(_report_row(page(watched, parameters=given, profile=defaults, title=title)))
            continue
        verdict = profiling.find(name).verdict(seen, given, defaults)
        troubles = verdict.outcome.troubles
        rows.append(
            {
                "RuleConfigurationName": name,
                "RuleEvaluationStatus": verdict.status,
                "StatusDetails": troubles[0].message if troubles else verdict.outcome.note,
                "rule": name,
                "advice": verdict.advice if troubles else "",
                "findings": len(troubles),
                "first": None,
                "parameters": dict(given),
            }
        )
    return rows


def page(
    watched: Watched, *, parameters: Mapping[str, Any], profile: str = "", title: str = ""
) -> "Report":
    """Write the profiler's page, with a file for each of its rules beside it.

    Args:
        watched: what a training left.
        parameters: named as SageMaker has them, "CPUBottleneck_cpu_threshold".
        profile: whose defaults.
        title: of the page.

    Raises:
        RunError: if nothing was profiled.
        SettingsError: for an unknown rule or parameter, or a value that cannot be.
    """
    from stocktake.debugger import profile_report
    from stocktake.debugger.errors import RecordError, RuleError

    try:
        return profile_report.write(
            watched.profile,
            watched.rules / REPORT,
            parameters=parameters,
            profile=profile,
            title=title or " ".join(_titles(watched)),
        )
    except RecordError as err:
        raise RunError(f"{err}; trainings with profile = false leave none") from None
    except RuleError as err:
        raise SettingsError(str(err)) from None


def _titles(watched: Watched) -> Iterator[str]:
    path = watched.run.path if watched.run else watched.profile
    yield path.resolve().parent.name
    if watched.member:
        yield watched.member


def _report_row(report: "Report") -> Row:
    fired = report.fired
    return {
        "RuleConfigurationName": REPORT,
        "RuleEvaluationStatus": report.status,
        "StatusDetails": f"{', '.join(fired)} found something" if fired else "",
        "rule": REPORT,
        "advice": "See the page." if fired else "",
        "findings": len(fired),
        "first": None,
        "parameters": {},
        "page": f"{REPORT}/{report.page.name}",
    }


def keep(folder: Path, rows: Sequence[Row]) -> None:
    """Keep rows in rule-output, a file for each rule."""
    folder.mkdir(parents=True, exist_ok=True)
    for row in rows:
        text = json.dumps(row, indent=1, ensure_ascii=False, default=str)
        journal.write_whole(folder / f"{row['RuleConfigurationName']}.json", text + "\n")


def line(row: Row) -> str:
    """A rule that fired, in one line: rule, step, evidence, advice."""
    first = row.get("first")
    at = f" at {first['mode']} step {first['step']}" if first else ""
    advice = f" {row['advice']}" if row["advice"] else ""
    return f"{row['RuleConfigurationName']}{at}: {row['StatusDetails'].rstrip('.')}.{advice}"
