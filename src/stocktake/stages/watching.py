"""Watching: the debugger and the profiler beside a training, its record judged as it goes.

What is left in the run folder is told in `stages/debug.py`. Of several processes each writes its
own record, and the first one judges them all. Nothing that fails here reaches the training.
"""

import sys
import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, suppress
from functools import wraps
from typing import TYPE_CHECKING, Any, Concatenate, ParamSpec, TypeVar

from stocktake.runs.folder import RunFolder
from stocktake.stages import debug

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from stocktake.debugger.capture import Recorder
    from stocktake.debugger.profiler import Profiler
    from stocktake.debugger.records import Row as Seen
    from stocktake.stages.trainer import Ready
    from stocktake.vision.fitting import Figures, Watcher

WAIT_S = 40.0
"""How long rows of an epoch are waited for where a rule may stop the training, seconds: longer
than the half minute that the debugger's writer may take between two parts."""
GRACE_S = 5.0
"""How long the first process waits for the others' last rows, seconds."""
POLL_S = 0.05

P = ParamSpec("P")
W = TypeVar("W", bound="_Harmless")


class Watch:
    """The watchers of one training, as its settings ask for them."""

    def __init__(self, ready: "Ready", run: RunFolder, *, member: int = 0) -> None:
        """Nothing is watched before the training starts.

        Args:
            ready: the training.
            run: is warned of issues; the watchers' files go into its folder.
            member: of several trainings, counted from 0.

        Raises:
            SettingsError: for an unknown rule or parameter.
        """
        settings = ready.settings
        question = debug.asked(settings.rules)
        name = f"member-{member + 1}" if settings.members > 1 else ""
        place = debug.Watched(
            record=run.path / debug.RECORD / name,
            profile=run.path / debug.PROFILE / name,
            rules=run.path / debug.RULES / name,
            member=name,
            run=run,
        )
        self._recording = _Recording(ready, place, question) if settings.record_every else None
        self.watchers: list[Watcher] = [self._recording] if self._recording else []
        if settings.profile:
            self.watchers.append(_Profiling(ready, place, question))
        self._stops = settings.on_issue == "stop"
        self._run = run

    def is_enough(self) -> bool:
        """Whether a rule found something that is to stop the training."""
        if not self._stops or self._recording is None or not self._recording.fired:
            return False
        self._run.log(f"stopping, as {self._recording.fired[0]} found something")
        return True


def harmless(
    method: Callable[Concatenate[W, P], None],
) -> Callable[Concatenate[W, P], None]:
    """The method, whose failure is said once, as a warning, and ends the watching alone."""

    @wraps(method)
    def call(self: W, /, *args: P.args, **kwargs: P.kwargs) -> None:
        if self.is_off:
            return
        try:
            method(self, *args, **kwargs)
        except Exception as err:  # noqa: BLE001 whatever it is, the training goes on
            self.give_up(err)

    return call


class _Harmless:
    """What watchers have in common: they stop watching when something of theirs fails."""

    what = ""

    def __init__(self, ready: "Ready", place: debug.Watched, question: debug.Asked) -> None:
        self.is_off = False
        self._ready, self._place, self._question = ready, place, question
        self._rank = ready.plan.world.rank

    def give_up(self, err: Exception) -> None:
        """Watch no more, and say why."""
        self.is_off = True
        with suppress(Exception):
            self.close(err)
        with suppress(Exception):
            text = " ".join(f"{type(err).__name__}: {err}".split())
            self._warn(f"the {self.what} failed and is off, training goes on: {text}")

    def close(self, err: BaseException | None) -> None:
        """Give back what was taken."""

    def _warn(self, text: str) -> None:
        if self._place.run is not None:
            self._place.run.warn(text)

    def _keep(self, rows: Sequence[debug.Row]) -> None:
        """Write how rules stand."""
        debug.keep(self._place.rules, rows)


class _Recording(_Harmless):
    """Watcher that drives the recorder and judges what it recorded.

    A training step of the record is a step of the loop. A step of mode eval is the validation after
    an epoch: its loss, and beside it the epoch's mean training loss as `train_loss`.
    """

    what = "debugger"

    def __init__(self, ready: "Ready", place: debug.Watched, question: debug.Asked) -> None:
        super().__init__(ready, place, question)
        self.fired: list[str] = []
        """Rules that found something, in the order they did."""
        self._failed: list[str] = []
        self._recorder: Recorder | None = None
        self._judging: _Judging | None = None
        self._validating: AbstractContextManager[None] | None = None
        self._has_begun = False

    @harmless
    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Put the recorder's hooks on the counter, and read what an earlier attempt recorded."""
        from stocktake.debugger.capture import Recorder

        plan, settings = self._ready.plan, self._ready.settings
        if self._rank == 0:
            steps_in_epoch = max(steps // max(plan.epochs, 1), 1)
            done, midway = plan.done, plan.midway
            self._judging = _Judging(self._place, self._question, steps_in_epoch)
            epochs_end = done[-1].step if done else 0
            self._judging.go_on(
                len(done), epochs_end, epochs_end + (midway.batches if midway else 0)
            )
            self._tell()
        self._recorder = Recorder(
            self._place.record,
            collections=collections(settings.record_every),
            every={"train": settings.record_every},
            worker=self._rank,
        )
        self._recorder.watch(counter, optimizer=optimizer)

    @harmless
    def phase(self, step: int, name: str) -> None:
        """Tell the recorder where the loop stands."""
        recorder = self._recorder
        assert recorder is not None
        if not self._has_begun:  # an earlier attempt took the steps before
            recorder.start_at(step)
            self._has_begun = True
        if name == "validate":
            self._validating = recorder.mode("eval")
            self._validating.__enter__()

    @harmless
    def step_end(self, step: int, loss: float) -> None:
        """Record the loss."""
        assert self._recorder is not None
        self._recorder.scalar("loss", loss, collection="losses")

    @harmless
    def epoch_end(self, figures: "Figures") -> None:
        """Record what the epoch brought, and judge the record."""
        recorder = self._recorder
        assert recorder is not None and self._validating is not None
        recorder.start_at(figures.epoch - 1, "eval")  # each batch of the validation was a step
        recorder.scalar("loss", figures.val_loss, collection="losses")
        recorder.scalar("train_loss", figures.train_loss)
        self._validating.__exit__(None, None, None)
        self._validating = None
        if self._judging:
            if self._ready.settings.on_issue == "stop":
                self._judging.wait_for(figures.epoch - 1, self._ready.plan.world.ranks)
            self._judging.update()
            self._tell()

    @harmless
    def stop(self) -> None:
        """Write what is left, and judge the whole."""
        err = sys.exc_info()[1]
        self.close(err)
        if self._judging:
            self._judging.end(is_whole=err is None, ranks=self._ready.plan.world.ranks)
            self._tell()

    def close(self, err: BaseException | None) -> None:
        """Take the hooks away."""
        if self._recorder is not None:
            self._recorder.close(err)

    def _tell(self) -> None:
        """Write how rules stand, and warn of those that newly found something."""
        assert self._judging is not None
        rows = self._judging.rows()
        self._keep(rows)
        lines = {row["RuleConfigurationName"]: debug.line(row) for row in rows if row["findings"]}
        for name, text in lines.items():
            if name not in self.fired:
                self.fired.append(name)
                self._warn(text)
        for row in rows:
            if row["RuleEvaluationStatus"] == "Error" and row["rule"] not in self._failed:
                self._failed.append(row["rule"])
                self._warn(row["StatusDetails"])


class _Judging:
    """The record of a training, judged as it grows."""

    def __init__(self, place: debug.Watched, question: debug.Asked, steps_in_epoch: int) -> None:
        from stocktake.debugger.check import Check
        from stocktake.debugger.files import Reader
        from stocktake.debugger.records import Record
        from stocktake.debugger.rules import find

        rules = [find(name) for name, _ in question.of_record]
        self._reader: Reader = Reader(
            place.record,
            collections={"scalars", *(name for rule in rules for name in rule.reads)},
            statistics={"value", *(name for rule in rules for name in rule.statistics)},
        )
        self._question = question
        self._choices = question.choices(steps_in_epoch)
        self._record: Record = Record()
        self._check: Check = Check(self._record, self._choices, profile=question.profile_of)

    def go_on(self, epochs: int, epochs_end: int, start: int) -> None:
        """Judge what an earlier attempt recorded, as it was judged then.

        Rows from `start` on are told anew, as the checkpoint did not have those steps.

        Args:
            epochs: that were done.
            epochs_end: the first step after them.
            start: the first step of this attempt.
        """
        rows = self._reader.new()
        told = [row for row in rows if row.step < (epochs_end if row.mode == "train" else epochs)]
        self._take(told)
        self._check.update()
        between = range(epochs_end, start)
        self._take(row for row in rows if row.mode == "train" and row.step in between)

    def update(self) -> None:
        """Judge what has come."""
        self._take(self._reader.new())
        self._check.update()

    def wait_for(self, epoch: int, ranks: int) -> None:
        """Wait until every process's rows of an epoch are written.

        Args:
            epoch: the step of mode eval that ends it.
            ranks: processes.
        """
        until = time.monotonic() + WAIT_S
        while time.monotonic() < until:
            self._take(self._reader.new())
            if all(epoch in self._record.steps("eval", rank) for rank in range(ranks)):
                return
            time.sleep(POLL_S)

    def end(self, *, is_whole: bool, ranks: int) -> None:
        """Judge the last rows.

        Args:
            is_whole: whether the training came to its end.
            ranks: processes, which end one after another.
        """
        until = time.monotonic() + (GRACE_S if ranks > 1 else 0.0)
        self._take(self._reader.new())
        while not self._reader.is_whole and time.monotonic() < until:
            time.sleep(POLL_S)
            self._take(self._reader.new())
        self._check.update(ended=is_whole)
        self._check.stop()

    def _take(self, rows: Iterable["Seen"]) -> None:
        self._record.extend(self._question.sieved(rows))

    def rows(self) -> list[debug.Row]:
        """How each rule stands."""
        pairs = zip(self._check.verdicts(), self._choices, strict=True)
        return [debug.row_of(verdict, choice) for verdict, choice in pairs]


LEAN, SELDOM = ("abs_mean", "positive", "channel_positive"), 4
"""What is recorded of activations, and at each how manieth record: they are by far the largest
tensors, and with all statistics at every record they alone would take a tenth of the time of a
tf_efficientnet_lite0 on a CPU (log 2026-11-25)."""
FIRST = 4
"""Records that also have what goes into activations, which tells how weights began."""


def collections(every: int) -> dict[str, Any]:
    """What is recorded: losses of every step, tensors every so many, in validation losses alone."""
    from stocktake.debugger.selection import KNOWN, Collection

    made = {
        name: Collection(statistics=KNOWN[name].statistics, every={"train": every, "eval": ()})
        for name in ("gradients", "weights", "biases")
    }
    made["activations"] = Collection(statistics=LEAN, every={"train": SELDOM * every, "eval": ()})
    made["activation_inputs"] = Collection(
        statistics=("std", "min", "max"),
        every={"train": range(0, FIRST * every, every), "eval": ()},
    )
    for name in ("losses", "scalars"):
        made[name] = Collection(statistics=("value",), every={"train": 1, "eval": 1})
    return made


class _Profiling(_Harmless):
    """Watcher that takes the time of phases and samples the machine; of several processes the first
    one samples."""

    what = "profiler"

    def __init__(self, ready: "Ready", place: debug.Watched, question: debug.Asked) -> None:
        super().__init__(ready, place, question)
        self._profiler: Profiler | None = None
        self._phase: AbstractContextManager[None] | None = None
        self._step: Any = None

    @harmless
    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Begin to sample the machine."""
        from stocktake.debugger.profiler import Profiler

        self._profiler = Profiler(self._place.profile)
        if self._rank == 0:
            self._profiler.start()

    @harmless
    def phase(self, step: int, name: str) -> None:
        """End a phase, begin the next; a step begins when it waits for its photos."""
        assert self._profiler is not None
        self._end_phase()
        if name == "data":
            self._step = self._profiler.phases.step("train")
            self._step.begin()
        elif name == "validate":
            self._drop_step()  # it waited, and there were no more photos
        self._phase = self._profiler(_phases()[name])
        self._phase.__enter__()

    @harmless
    def step_end(self, step: int, loss: float) -> None:
        """The step is over."""
        self._end_phase()
        if self._step is not None:
            self._step.end()
            self._step = None

    @harmless
    def epoch_end(self, figures: "Figures") -> None:
        """Validation is over."""
        self._end_phase()

    @harmless
    def stop(self) -> None:
        """Write what is left; of several processes the first one judges what was seen."""
        self.close(None)
        if self._rank == 0:
            rows = debug.profiled(self._place, self._question)
            self._keep(rows)
            for row in rows:
                if row["findings"]:
                    self._warn(debug.line(row))

    def close(self, err: BaseException | None) -> None:
        """End the sampling."""
        self._end_phase()
        self._drop_step()
        if self._profiler is not None:
            self._profiler.close()

    def _end_phase(self) -> None:
        if self._phase is not None:
            phase, self._phase = self._phase, None
            phase.__exit__(None, None, None)

    def _drop_step(self) -> None:
        if self._step is not None:
            step, self._step = self._step, None
            step.drop()


def _phases() -> dict[str, str]:
    """The profiler's names of the loop's phases."""
    from stocktake.debugger import phases

    return {
        "data": phases.DATA_WAIT,
        "forward": phases.FORWARD,
        "backward": phases.BACKWARD,
        "update": phases.OPTIMIZER,
        "validate": phases.EVALUATION,
    }
