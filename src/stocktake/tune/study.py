"""Study: ask for settings to try, tell what came of them; a journal on disk survives any kill.

Optuna underneath, so its dashboard opens the journal. One process owns a study at a time.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
import optuna
from optuna.distributions import (
    BaseDistribution,
    CategoricalDistribution,
    FloatDistribution,
    IntDistribution,
)
from optuna.storages import JournalStorage
from optuna.storages.journal import JournalFileBackend
from optuna.trial import FrozenTrial, TrialState

from stocktake.errors import DataError, SettingsError
from stocktake.parts import Spec
from stocktake.tune import space as spaces
from stocktake.tune.samplers import samplers

State: TypeAlias = Literal["done", "stopped", "failed"]
Direction: TypeAlias = Literal["minimize", "maximize"]
NAME = "tune"
"""The study's name in its journal."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """Settings to try."""

    number: int
    """Counted from 0; a trial that was cut off gives its number to the next."""
    params: dict[str, Any]
    """Value of each dimension, by its dotted name."""
    asked: optuna.Trial = field(repr=False)
    """The journal's own handle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """A trial that has ended and counts."""

    number: int
    params: dict[str, Any]
    state: State
    value: float | None
    """Best value of the metric; None for a failed trial."""
    history: tuple[float, ...]
    """The metric after each epoch."""
    seconds: float
    error: str
    """One line; empty unless failed."""


class Study:
    """A search in progress; make one with `Study.open`."""

    def __init__(
        self, inner: optuna.Study, *, space: spaces.Space, sampler: Spec, seed: int
    ) -> None:
        self._inner = inner
        self._space = space
        self._distributions = {name: _distribution(space[name]) for name in space}
        self._sampler = sampler
        self._seed = seed
        self._aside: frozenset[int] = frozenset()
        self.cut_off = 0
        """Trials that an earlier process left running: marked as failed, not counted."""
        self.set_aside = 0
        """Trials that do not count since all before this process came had failed."""

    @classmethod
    def open(
        cls,
        journal: Path,
        *,
        space: spaces.Space,
        direction: Direction,
        sampler: Spec = "gp",
        seed: int = 0,
        about: Mapping[str, Any] | None = None,
    ) -> "Study":
        """The study in a journal file: a new one, or the one there is, continued.

        What has ended stays. What a killed process left running is marked and asked for again.
        If every trial so far failed, all are set aside: somebody has come to try anew.

        Args:
            journal: the file; it is made if it is missing.
            space: what to search.
            direction: "minimize" or "maximize".
            sampler: a part of the sampler shelf.
            seed: of all chance.
            about: what else the values depend on (metric, data), as plain data.

        Raises:
            SettingsError: for an unknown sampler, or a journal of another space, direction or
                `about`.
            DataError: for a file that is no journal.
        """
        samplers.make(sampler, seed=seed)
        identity = {"space": spaces.plain(space), "direction": direction, **(about or {})}
        study = cls(_inner(journal, direction), space=space, sampler=sampler, seed=seed)
        study._settle(journal, identity)
        return study

    def ask(self) -> Trial:
        """Settings to try next, chosen by seed and history alone."""
        number = len(self.outcomes())
        own_seed = int(np.random.SeedSequence([self._seed, number]).generate_state(1)[0])
        self._inner.sampler = samplers.make(self._sampler, seed=own_seed)
        asked = self._inner.ask(fixed_distributions=self._distributions)
        asked.set_user_attr("number", number)
        return Trial(number=number, params=self._values(asked.params), asked=asked)

    def tell(
        self,
        trial: Trial,
        *,
        value: float | None,
        history: Sequence[float] = (),
        stopped: bool = False,
        seconds: float = 0.0,
        error: str = "",
    ) -> Outcome:
        """Record how a trial ended; returns the record.

        Args:
            trial: from `ask`.
            value: its best value; None (or what is no finite number) for a failed trial.
            history: the metric after each epoch.
            stopped: whether a stopper ended it.
            seconds: what it took.
            error: why it failed, one line.
        """
        failed = value is None or not math.isfinite(value)
        state: State = "failed" if failed else "stopped" if stopped else "done"
        for epoch, one in enumerate(history, start=1):
            trial.asked.report(one, epoch)
        # before the state: a kill in between leaves a running trial, which is asked for again
        trial.asked.set_user_attr(
            "outcome", {"state": state, "seconds": round(seconds, 3), "error": error}
        )
        if failed:
            self._inner.tell(trial.asked, state=TrialState.FAIL)
        else:
            self._inner.tell(trial.asked, value)
        return next(o for o in self.outcomes() if o.number == trial.number)

    def outcomes(self) -> list[Outcome]:
        """Every trial that has ended and counts, by its number."""
        rows = self._inner.get_trials(deepcopy=False)
        counted = [row for row in rows if row.number not in self._aside and _counts(row)]
        return sorted((self._outcome(row) for row in counted), key=lambda o: o.number)

    def best(self) -> Outcome | None:
        """The outcome with the best value, the earlier of two equal ones; None if there is none."""
        sign = -1 if self._inner.direction == optuna.study.StudyDirection.MAXIMIZE else 1
        valued = [o for o in self.outcomes() if o.value is not None]
        return min(valued, key=lambda o: sign * (o.value or 0.0), default=None)

    def _settle(self, journal: Path, identity: dict[str, Any]) -> None:
        """Refuse another search's journal; mark what was cut off; set aside failures only."""
        found = self._inner.user_attrs.get("identity")
        if found is None:
            self._inner.set_user_attr("identity", identity)
        elif found != identity:
            raise SettingsError(
                f"{journal} is a study of something else: {_difference(found, identity)};"
                " go back to that, or start in another folder"
            )
        for row in self._inner.get_trials(deepcopy=False, states=(TrialState.RUNNING,)):
            self._inner.tell(row.number, state=TrialState.FAIL)
            self.cut_off += 1
        outcomes = self.outcomes()
        if all(outcome.state == "failed" for outcome in outcomes):
            self._aside = frozenset(row.number for row in self._inner.get_trials())
            self.set_aside = len(outcomes)

    def _values(self, labels: Mapping[str, Any]) -> dict[str, Any]:
        """Values of the space from the journal's labels."""
        values = {}
        for name, dimension in self._space.items():
            found = labels[name]
            if isinstance(dimension, spaces.Choice):
                found = next(v for v in dimension.choices if spaces.label(v) == found)
            values[name] = found
        return values

    def _outcome(self, row: FrozenTrial) -> Outcome:
        told = row.user_attrs["outcome"]
        return Outcome(
            number=row.user_attrs["number"],
            params=self._values(row.params),
            state=told["state"],
            value=None if told["state"] == "failed" else row.value,
            history=tuple(v for _, v in sorted(row.intermediate_values.items())),
            seconds=told["seconds"],
            error=told["error"],
        )


def _inner(journal: Path, direction: Direction) -> optuna.Study:
    """Optuna's study in the journal; what a kill left of the file and its lock is mended."""
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # its news would go to stderr
    journal.with_name(f"{journal.name}.lock").unlink(missing_ok=True)
    _cut_half_line(journal)
    try:
        storage = JournalStorage(JournalFileBackend(str(journal)))
        return optuna.create_study(
            storage=storage, study_name=NAME, direction=direction, load_if_exists=True
        )
    except (ValueError, KeyError, TypeError) as err:
        raise DataError(
            f"{journal} is not a study's journal ({err}); move it away to start anew"
        ) from err


def _cut_half_line(journal: Path) -> None:
    """Drop a last line without its end: the next line would be written onto it."""
    if not journal.exists():
        return
    data = journal.read_bytes()
    whole = data.rfind(b"\n") + 1
    if whole < len(data):
        with journal.open("r+b") as file:
            file.truncate(whole)


def _counts(row: FrozenTrial) -> bool:
    """Whether a trial's end was told; one cut off has failed in the journal without a word."""
    told = row.user_attrs.get("outcome", {}).get("state")
    return row.state == TrialState.COMPLETE or (row.state == TrialState.FAIL and told == "failed")


def _distribution(dimension: spaces.Dimension) -> BaseDistribution:
    if isinstance(dimension, spaces.Choice):
        return CategoricalDistribution([spaces.label(value) for value in dimension.choices])
    is_log = dimension.scale == "log"
    if dimension.is_whole:
        return IntDistribution(int(dimension.low), int(dimension.high), log=is_log)
    return FloatDistribution(float(dimension.low), float(dimension.high), log=is_log)


def _difference(found: Mapping[str, Any], wanted: Mapping[str, Any]) -> str:
    """The first thing in which two studies differ, by its name."""
    for key in [*found, *wanted]:
        was, now = found.get(key), wanted.get(key)
        if was == now:
            continue
        if isinstance(was, Mapping) and isinstance(now, Mapping):
            return f"{key} {_difference(was, now)}"
        return f"{key} was {was!r}, now {now!r}"
    return "nothing"
