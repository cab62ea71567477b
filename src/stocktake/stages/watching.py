"""Watching: the debugger and the profiler beside a training of ours, and what their rules say.

In the run folder, beside artifacts: debug-output/ (the record), profiler-output/, rule-output/
(what each rule says, and the profiler's page); of several members, a folder for each in these.
"""

import json
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import SettingsError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from stocktake.debugger.check import Verdict
    from stocktake.vision.fitting import Figures

RECORD, PROFILE, RULES = "debug-output", "profiler-output", "rule-output"
SEEN = ("gradients", "weights", "biases", "activations", "activation_inputs")
"""Collections recorded every few steps; losses are at every one."""
PHASES = {
    "data": "data wait",
    "forward": "forward",
    "backward": "backward",
    "update": "optimizer",
    "validate": "evaluation",
}
"""Phases of our loop, as the profiler calls them."""


def check_rules(names: list[str]) -> None:
    """Look every rule up.

    Raises:
        SettingsError: for an unknown one, with the nearest name.
    """
    from stocktake.debugger.errors import RuleError
    from stocktake.debugger.rules import find

    for name in names:
        try:
            find(name)
        except RuleError as err:
            raise SettingsError(f"train.rules: {err}") from None


class Watch:
    """Watcher that records, profiles and judges a training; a fault of its own never hurts it.

    Args:
        run: is warned of what a rule finds, once a rule.
        rules: their names; none judges nothing.
        every: steps between two records of gradients and the like; 0 records nothing.
        profiles: whether machine and phases are measured.
        member: name of this training's folder among several; empty for one alone.
        rank: of this process; the first one profiles and judges.
    """

    def __init__(
        self,
        run: RunFolder,
        *,
        rules: list[str],
        every: int,
        profiles: bool,
        member: str = "",
        rank: int = 0,
    ) -> None:
        self._run, self._rules, self._every = run, rules, every
        self._folders = {name: run.path / name / member for name in (RECORD, PROFILE, RULES)}
        self._profiles = profiles and rank == 0
        self._judges = bool(rules) and every > 0 and rank == 0
        self._recorder: Any = None
        self._profiler: Any = None
        self._check: Any = None
        self._reader: Any = None
        self._evaluating = ExitStack()
        self._open: Any = None
        self._step: Any = None
        self._is_told_where = self._is_off = False
        self._told: set[str] = set()

    def found_issues(self) -> bool:
        """Whether a rule has fired so far."""
        return bool(self._told)

    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Begin to record and to measure."""
        self._try(lambda: self._start(counter, optimizer))

    def phase(self, step: int, name: str) -> None:
        """A phase of the loop begins."""
        self._try(lambda: self._phase(step, name))

    def step_end(self, step: int, loss: float) -> None:
        """Note the step's loss; the recorder has seen the step itself."""
        self._try(lambda: self._step_end(loss))

    def epoch_end(self, figures: "Figures") -> None:
        """Note what the epoch brought, and judge."""
        self._try(lambda: self._epoch_end(figures))

    def stop(self) -> None:
        """Write what is left, and what the rules say of all of it."""
        self._try(self._stop)

    def _try(self, call: Callable[[], None]) -> None:
        if self._is_off:
            return
        try:
            call()
        except Exception as err:  # noqa: BLE001 a watcher's fault is no fault of the training
            self._is_off = True
            reason = " ".join(str(err).split()) or type(err).__name__
            self._run.warn(f"the debugger failed and watches no more ({reason}); training goes on")

    def _start(self, counter: "nn.Module", optimizer: "Optimizer") -> None:
        if self._every:
            from stocktake.debugger.capture import Recorder
            from stocktake.debugger.selection import known

            seen = {name: replace(known(name), every={"eval": frozenset()}) for name in SEEN}
            # A norm takes a bias before it off again: such a bias has no gradient, and is not ill.
            seen["gradients"] = replace(seen["gradients"], regex=r"weight$")
            losses = replace(known("losses"), every={"train": 1, "eval": 1})
            self._recorder = Recorder(
                self._folders[RECORD],
                collections={**seen, "losses": losses},
                every={"train": self._every},
            )
            self._recorder.watch(counter, optimizer=optimizer)
        if self._judges:
            from stocktake.debugger.check import Check
            from stocktake.debugger.files import Reader
            from stocktake.debugger.records import Record

            self._reader = Reader(self._folders[RECORD])
            # every batch is recorded, so the profile for losses of single batches
            self._check = Check(Record(), self._rules, profile="batches")
        if self._profiles:
            from stocktake.debugger.profiler import Profiler

            self._profiler = Profiler(self._folders[PROFILE]).start()

    def _phase(self, step: int, name: str) -> None:
        self._close_phase()
        if self._recorder is not None:
            if not self._is_told_where:  # an earlier attempt may have made the steps before
                self._recorder.start_at(step)
                self._is_told_where = True
            if name == "validate":
                self._evaluating.enter_context(self._recorder.mode("eval"))
        if self._profiler is None:
            return
        if name == "data":
            self._step = self._profiler.phases.step("train")
            self._step.begin()
        elif name == "validate" and self._step is not None:
            self._step.drop()  # it waited for photos, and there were no more in this epoch
            self._step = None
        self._open = self._profiler.phases(PHASES[name])
        self._open.__enter__()

    def _close_phase(self) -> None:
        if self._open is not None:
            self._open.__exit__(None, None, None)
            self._open = None

    def _step_end(self, loss: float) -> None:
        self._close_phase()
        if self._recorder is not None:
            self._recorder.scalar("loss", loss, collection="losses")
        if self._step is not None:
            self._step.end()
            self._step = None

    def _epoch_end(self, figures: "Figures") -> None:
        self._close_phase()
        if self._recorder is not None:
            self._recorder.scalar("loss", figures.val_loss, collection="losses")
            self._evaluating.close()
        self._judge(ended=False)

    def _judge(self, *, ended: bool) -> None:
        if self._check is None:
            return
        self._check.record.extend(self._reader.new())
        self._check.update(ended=ended)
        verdicts = self._check.verdicts()
        for verdict in verdicts:
            if verdict.status == "IssuesFound" and verdict.name not in self._told:
                self._told.add(verdict.name)
                self._run.warn(f"rule {verdict.name}: {verdict.message}; {verdict.advice}")
        write_verdicts(self._folders[RULES], verdicts)

    def _stop(self) -> None:
        self._close_phase()
        self._evaluating.close()
        if self._recorder is not None:
            self._recorder.close()
        self._judge(ended=True)
        if self._profiler is not None:
            from stocktake.debugger import profile_report

            self._profiler.close()
            profile_report.write(
                self._folders[PROFILE], self._folders[RULES], title=str(self._run.path)
            )


def write_verdicts(folder: Path, verdicts: "list[Verdict]") -> None:
    """Write a JSON file for each rule, whole or not at all."""
    folder.mkdir(parents=True, exist_ok=True)
    for verdict in verdicts:
        part = folder / f".{verdict.name}.part"
        part.write_text(json.dumps(verdict.as_json(), indent=1) + "\n", encoding="utf-8")
        part.replace(folder / f"{verdict.name}.json")
