"""Checks a record with rules: live, step by step as rows come, or the whole of one afterwards.

check(record, ["VanishingGradient", "DeadRelu"])                  a finished record
watch = Check(record, ["DeadRelu"], actions=[stop])               one that still grows
record.extend(rows); watch.update(now=time.time())                again and again
"""

import time
import traceback
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from stocktake.debugger.actions import Action, Fired, StopTraining
from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import MODES, Mode, Record, View
from stocktake.debugger.rules import Finding, Rule, find, names

Status = Literal["InProgress", "NoIssuesFound", "IssuesFound", "Error", "Stopped"]
"""What SageMaker calls how a rule stands."""
MOST_TENSORS = 20
"""So many tensors are named in a verdict; the rest are counted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Chosen:
    """A rule with its parameters set, under a name: one rule can be chosen twice."""

    rule: Rule
    parameters: Mapping[str, Any] = field(default_factory=dict)
    """Those that differ from the defaults."""
    name: str = ""
    """What it is called in this check; the rule's own if empty."""


Choice = str | Chosen
Choices = Iterable[Choice] | Mapping[str, Mapping[str, Any]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """What one rule says of a record."""

    name: str
    """What the rule is called in this check."""
    rule: str
    status: Status
    message: str
    """One line: the first finding, the error, or why there was nothing to look at; else empty."""
    advice: str
    """What to do about it; empty if there is nothing to do."""
    findings: int
    """How many there were: one per step, tensor and worker."""
    first: Finding | None
    last: Finding | None
    tensors: Mapping[str, int]
    """Findings by tensor, the first twenty tensors."""
    steps: int
    """How many steps the rule was asked about."""
    looked_at: int
    """How many tensors it saw a row of."""
    cost_s: float
    """Time it took, seconds."""
    actions: Sequence[str]
    """What became of each action, one line each."""

    @property
    def first_step(self) -> int | None:
        """Step of the first finding, counted in its mode."""
        return None if self.first is None else self.first.step

    @property
    def last_step(self) -> int | None:
        """Step of the last finding, counted in its mode."""
        return None if self.last is None else self.last.step

    def as_json(self) -> dict[str, Any]:
        """What is written about it; keys of SageMaker's where it has them."""
        return {
            "RuleConfigurationName": self.name,
            "RuleEvaluationStatus": self.status,
            "StatusDetails": self.message,
            "rule": self.rule,
            "advice": self.advice,
            "findings": self.findings,
            "first": self.first and self.first.as_json(),
            "last": self.last and self.last.as_json(),
            "tensors": dict(self.tensors),
            "steps": self.steps,
            "looked_at": self.looked_at,
            "cost_s": round(self.cost_s, 6),
            "actions": list(self.actions),
        }


class Check:
    """Some rules on one record, which may still grow.

    Each step is judged once, also where a resumed training tells it anew.
    """

    def __init__(
        self,
        record: Record,
        rules: Choices | None = None,
        *,
        profile: str = "",
        actions: Sequence[Action] = (),
    ) -> None:
        """Every rule but those `ASKED_BY_NAME`, if none are named.

        Raises:
            RuleError: for an unknown rule, parameter or profile, or two of one name.
        """
        self.record = record
        self._actions = tuple(actions)
        self._judged: dict[tuple[Mode, int], int] = {}
        self._standing = [_Standing(one, profile) for one in choose(rules)]
        called = [one.name for one in self._standing]
        if twice := {name for name in called if called.count(name) > 1}:
            raise RuleError(f"two rules are called {min(twice)}; give one another name")

    def update(self, *, ended: bool = False, now: float = 0.0) -> list[Finding]:
        """Judge the steps that came since the last call, and tell what was found in them.

        A step is judged when a later one has a row, since rows of its own may still come; the last
        when the training has `ended`. With `now`, seconds since 1970, rules of time are asked how
        long nothing came.
        """
        found: list[Finding] = []
        for view in self._due(ended):
            for one in self._standing:
                if view.mode in one.rule.modes:
                    found += one.judge(view, self._actions)
        if now and not ended and (view_now := self._idle(now)) is not None:
            for one in self._standing:
                if not one.rule.reads and not one.findings:
                    found += one.judge(view_now, self._actions)
        if ended:
            for one in self._standing:
                one.end("NoIssuesFound")
        return found

    def stop(self) -> None:
        """Judge no more: rules that found nothing so far are Stopped."""
        for one in self._standing:
            one.end("Stopped")

    def verdicts(self) -> list[Verdict]:
        """How each rule stands, in the order they were named."""
        return [one.verdict() for one in self._standing]

    def _due(self, ended: bool) -> Iterator[View]:
        due: list[tuple[float, Mode, int, int]] = []
        for mode in MODES:
            for worker in self.record.workers():
                steps = self.record.steps(mode, worker)
                start = bisect_left(steps, self._judged.get((mode, worker), 0))
                for step in steps[start:]:
                    when = self.record.time(mode, step, worker)
                    if ended or step != steps[-1] or when < self._newest_but(mode, worker):
                        due.append((when, mode, step, worker))
                        self._judged[mode, worker] = step + 1
        for _, mode, step, worker in sorted(due, key=lambda one: (one[0], one[2], one[3])):
            yield View(self.record, mode, step, worker)

    def _newest_but(self, mode: Mode, worker: int) -> float:
        """When the newest step of another mode of this worker was made."""
        others = [one for one in MODES if one != mode]
        lasts = [(one, steps[-1]) for one in others if (steps := self.record.steps(one, worker))]
        return max((self.record.time(one, step, worker) for one, step in lasts), default=0.0)

    def _idle(self, now: float) -> View | None:
        for mode in MODES:
            for worker in self.record.workers():
                if steps := self.record.steps(mode, worker):
                    return View(self.record, mode, steps[-1], worker, now)
        return None


def check(
    record: Record,
    rules: Choices | None = None,
    *,
    profile: str = "",
    ended: bool = True,
    actions: Sequence[Action] = (),
) -> list[Verdict]:
    """What rules say of a record; all but those `ASKED_BY_NAME`, if none are named.

    Args:
        rules: names, `Chosen`, or a mapping of names to parameters.
        profile: one of rules.PROFILES, whose defaults to take.
        ended: whether the training has; else rules that found nothing are InProgress.

    Raises:
        RuleError: for an unknown rule, parameter or profile.
    """
    judge = Check(record, rules, profile=profile, actions=actions)
    judge.update(ended=ended)
    return judge.verdicts()


ASKED_BY_NAME = ("Confusion", "SimilarAcrossRuns", "TensorVariance")
"""Rules that cannot judge with their defaults, and one for models that should be nearly right."""


def choose(rules: Choices | None) -> list[Chosen]:
    """Rules by what they are named; all but those `ASKED_BY_NAME` for None.

    Raises:
        RuleError: for an unknown rule.
    """
    if rules is None:
        rules = [name for name in names() if name not in ASKED_BY_NAME]
    if isinstance(rules, Mapping):
        return [Chosen(rule=find(name), parameters=given) for name, given in rules.items()]
    return [one if isinstance(one, Chosen) else Chosen(rule=find(one)) for one in rules]


class _Standing:
    """How one rule stands in a check."""

    def __init__(self, chosen: Chosen, profile: str) -> None:
        self.rule = chosen.rule
        self.name = chosen.name or chosen.rule.name
        self.findings = 0
        self._ask = chosen.rule.with_parameters(chosen.parameters, profile)
        self._stops = str(chosen.parameters.get("stop_training_on_fire", "")).lower() == "true"
        self._status: Status = "InProgress"
        self._error = ""
        self._first: Finding | None = None
        self._last: Finding | None = None
        self._tensors: dict[str, int] = {}
        self._steps = 0
        self._looked_at: set[str] = set()
        self._cost_s = 0.0
        self._actions: list[str] = []

    def judge(self, view: View, actions: Sequence[Action]) -> list[Finding]:
        """Ask the rule about a step, and act on its first finding."""
        if self._status not in ("InProgress", "IssuesFound"):
            return []
        began = time.perf_counter()
        seen = View(view.record, view.mode, view.step, view.worker, view.clock, self._looked_at)
        self._steps += 1
        found: list[Finding] = []
        try:
            found.extend(self._ask(seen))
        except Exception as err:  # noqa: BLE001 a rule may be anybody's; the others go on
            self._status = "Error"
            self._error = _line(self.name, view, err)
        self._cost_s += time.perf_counter() - began
        for one in found:
            self._note(one, actions)
        return found

    def _note(self, found: Finding, actions: Sequence[Action]) -> None:
        self.findings += 1
        self._last = found
        if found.tensor in self._tensors or len(self._tensors) < MOST_TENSORS:
            self._tensors[found.tensor] = self._tensors.get(found.tensor, 0) + 1
        if self._first is not None:
            return
        self._first = found
        if self._status == "InProgress":
            self._status = "IssuesFound"
        fired = Fired(rule=self.name, advice=self.rule.advice, finding=found)
        for action in actions:
            if isinstance(action, StopTraining) and not self._may_stop():
                continue
            self._actions.append(_outcome(action, fired))

    def _may_stop(self) -> bool:
        """A rule with the parameter stop_training_on_fire stops the training only if it is set."""
        return self._stops or "stop_training_on_fire" not in self.rule.parameters()

    def end(self, status: Status) -> None:
        """No more steps come."""
        if self._status == "InProgress":
            self._status = status

    def verdict(self) -> Verdict:
        """How it stands now."""
        message = self._error or (self._first.message if self._first else "")
        if not message and self._status == "NoIssuesFound" and self.rule.reads:
            message = "" if self._looked_at else _nothing(self.rule)
        return Verdict(
            name=self.name,
            rule=self.rule.name,
            status=self._status,
            message=message,
            advice=self.rule.advice if self._first else "",
            findings=self.findings,
            first=self._first,
            last=self._last,
            tensors=dict(self._tensors),
            steps=self._steps,
            looked_at=len(self._looked_at),
            cost_s=self._cost_s,
            actions=tuple(self._actions),
        )


def _nothing(rule: Rule) -> str:
    return (
        f"there was nothing to look at; it reads {', '.join(rule.statistics)} of "
        f"{', '.join(rule.reads)}"
    )


def _outcome(action: Action, fired: Fired) -> str:
    """Call an action, and say in a line what became of it."""
    what = getattr(action, "__name__", type(action).__name__)
    try:
        action(fired)
    except Exception as err:  # noqa: BLE001 an action may be anybody's; training and check go on
        return f"{what} failed: {err or type(err).__name__}"
    return f"{what} done"


def _line(name: str, view: View, err: Exception) -> str:
    if isinstance(err, RuleError):
        return str(err)
    where = traceback.extract_tb(err.__traceback__)[-1]
    said = f"{type(err).__name__}: {err}".splitlines()[0]
    return (
        f"rule {name} failed at {view.mode} step {view.step}: {said} "
        f"({Path(where.filename).name}, line {where.lineno})"
    )
