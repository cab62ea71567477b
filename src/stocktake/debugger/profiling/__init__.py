"""Profiler rules: pure functions over what a profiler saw, that say how a training wastes time.

    @profiler_rule("LowGPUUtilization", advice="...", percents=("threshold_p95", "threshold_p5"))
    def low_gpu_utilization(profile: Profile, *, threshold_p95: float = 70, ...) -> Outcome: ...

Names, parameters and defaults are those of SageMaker's client library; where its manual differs,
the manual's are in the profile "manual". A rule looks at the data in scans of `scan_interval_us`
and waits for more than `patience` data points; what it found in one scan stays found.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from stocktake.debugger.errors import RuleError
from stocktake.debugger.parameters import defaults, filled, on_shelf
from stocktake.debugger.samples import Array, Profile

Status = Literal["NoIssuesFound", "IssuesFound"]

SCAN_US = 60_000_000
"""A minute: SageMaker's interval between two looks at the data."""

PROFILES = ("client", "manual")


@dataclass(frozen=True, kw_only=True, slots=True)
class Trouble:
    """Something a profiler rule found."""

    message: str
    """One line: what was found, and what the rule expected."""
    evidence: Mapping[str, float]
    """The numbers that made the rule fire."""
    time: float = 0.0
    """When it was clear, seconds since 1970."""
    node: str = ""
    device: str = ""
    """What it was found in; empty for the training as a whole."""


@dataclass(kw_only=True, slots=True)
class Outcome:
    """What a rule has to say."""

    troubles: list[Trouble] = field(default_factory=list)
    violations: int = 0
    """Scans, steps or rounds of samples that were not as they should be."""
    datapoints: int = 0
    """What was looked at."""
    note: str = ""
    """What was not judged, or judged in another way, and why."""
    details: dict[str, Any] = field(default_factory=dict)
    """Figures for the report."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Verdict:
    """A rule's outcome, with what it was asked."""

    rule: str
    about: str
    advice: str
    parameters: Mapping[str, Any]
    outcome: Outcome

    @property
    def status(self) -> Status:
        """SageMaker's word for it."""
        return "IssuesFound" if self.outcome.troubles else "NoIssuesFound"

    @property
    def is_judged(self) -> bool:
        """Whether it had enough to look at; a rule that never fires always has."""
        return bool(self.outcome.troubles) or not self.outcome.note.startswith("not judged")


Judge = Callable[..., Outcome]


@dataclass(frozen=True, kw_only=True, slots=True)
class ProfilerRule:
    """A rule on the shelf."""

    name: str
    judge: Judge
    advice: str
    """What to do about it, one sentence."""
    percents: tuple[str, ...] = ()
    """Parameters that are 0 to 100; the other numbers are above 0."""
    profiles: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Other sets of defaults, by name."""

    @property
    def about(self) -> str:
        """What the rule looks for: the first line of its docstring."""
        return (inspect.getdoc(self.judge) or "").partition("\n")[0]

    def parameters(self, profile: str = "") -> dict[str, Any]:
        """Its parameters with their defaults.

        Raises:
            RuleError: for a profile that does not exist.
        """
        if profile and profile not in PROFILES:
            raise RuleError(
                f"there is no profile '{profile}'; profiles are {' and '.join(PROFILES)}"
            )
        return defaults(self.judge) | dict(self.profiles.get(profile, {}))

    def set(self, given: Mapping[str, Any], profile: str = "") -> dict[str, Any]:
        """All its parameters, some of them as given, checked.

        Raises:
            RuleError: for an unknown parameter, or a value that cannot be.
        """
        made = filled(self.name, self.parameters(profile), given)
        for name, value in made.items():
            if isinstance(value, str) or value is None:
                continue
            if name in self.percents:
                if not 0 <= value <= 100:
                    raise RuleError(f"rule {self.name}: {name} must be 0 to 100, got {value}")
            elif not value > 0:
                raise RuleError(f"rule {self.name}: {name} must be above 0, got {value}")
        return made

    def verdict(
        self, seen: Profile, given: Mapping[str, Any] | None = None, profile: str = ""
    ) -> Verdict:
        """What it says of what was seen.

        Raises:
            RuleError: for an unknown parameter, or a value that cannot be.
        """
        parameters = self.set(given or {}, profile)
        return Verdict(
            rule=self.name,
            about=self.about,
            advice=self.advice,
            parameters=parameters,
            outcome=self.judge(seen, **parameters),
        )


RULES: dict[str, ProfilerRule] = {}
"""Every profiler rule by its name."""


def profiler_rule(
    name: str,
    *,
    advice: str,
    percents: tuple[str, ...] = (),
    profiles: Mapping[str, Mapping[str, Any]] | None = None,
) -> Callable[[Judge], Judge]:
    """Put a rule on the shelf; its parameters are the function's keyword-only arguments.

    Raises:
        RuleError: if the name is taken.
    """

    def put(judge: Judge) -> Judge:
        if name in RULES:
            raise RuleError(f"there are two profiler rules called {name}; give one another name")
        RULES[name] = ProfilerRule(
            name=name, judge=judge, advice=advice, percents=percents, profiles=profiles or {}
        )
        return judge

    return put


def find(name: str) -> ProfilerRule:
    """The rule of that name; case, hyphens and underscores do not matter.

    Raises:
        RuleError: if there is none, with the nearest name.
    """
    names()  # puts them on the shelf
    return on_shelf(name, RULES, "profiler rule")


def names() -> list[str]:
    """Names of all profiler rules on the shelf."""
    import importlib
    import pkgutil

    for module in pkgutil.iter_modules(__path__):
        importlib.import_module(f"{__name__}.{module.name}")
    return sorted(RULES)


def scans(times: Array, start: float, scan_interval_us: int) -> Iterator[int]:
    """How many of these rising times were known at the end of each scan.

    The last, which may not be over, has them all: a short training would never be judged else.
    """
    if not len(times):
        return
    scan_s = scan_interval_us / 1e6
    ends = np.arange(start, times[-1] + scan_s, scan_s)[1:]
    known = [*np.searchsorted(times, ends, side="left").tolist(), len(times)]
    yield from sorted(set(known) - {0})


def too_few(seen: int, patience: int, what: str = "samples") -> str:
    """The note of a rule that had not enough to look at; empty if it had."""
    if seen > patience:
        return ""
    return f"not judged: {seen} {what} were seen, and more than {patience} are needed"


def joined(*notes: str) -> str:
    """Notes as one."""
    return "; ".join(one for one in notes if one)


def of_many(values: Sequence[int]) -> int:
    """The most of some numbers; 0 for none."""
    return max(values, default=0)
