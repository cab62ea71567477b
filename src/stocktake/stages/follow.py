"""Follow: send one trial's job to an engine and watch its metric until it ends or is stopped."""

import fcntl
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from stocktake.errors import DataError, SettingsError, StocktakeError, by_name, nearest
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Engine, Job, Status
from stocktake.tune.stoppers import History, Stopper

POLL_S = 0.2
"""How often a trial is looked at, seconds: far below an epoch, so a stopper comes in time."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ended:
    """How a trial's job ended."""

    value: float | None = None
    """Best value of the metric; None if it failed."""
    history: tuple[float, ...] = ()
    """The metric after each epoch."""
    stopped: bool = False
    """Whether the stopper ended it."""
    seconds: float = 0.0
    """What it took."""
    error: StocktakeError | None = None
    """Why it failed."""

    def told(self) -> dict[str, Any]:
        """The same as `Study.tell` takes it."""
        return {
            "value": self.value,
            "history": self.history,
            "stopped": self.stopped,
            "seconds": self.seconds,
            "error": str(self.error or ""),
        }


class Follower:
    """Carries out trials on an engine, one at a time.

    Args:
        engine: who runs the jobs.
        run: the folder of the search; told of progress and of what is worth a look.
        metric: name in the trials' metrics.jsonl, with one value per epoch.
        direction: "minimize" or "maximize".
        stopper: asked after every epoch of a trial.
    """

    def __init__(
        self, engine: Engine, run: RunFolder, *, metric: str, direction: str, stopper: Stopper
    ) -> None:
        self._engine = engine
        self._run = run
        self._metric = metric
        self._best = min if direction == "minimize" else max
        self._stopper = stopper

    def carry_out(self, job: Job, earlier: Sequence[History]) -> Ended:
        """Run the job to its end; one that fails comes back with its error.

        Args:
            job: the trial.
            earlier: the metric's histories of the trials before it, for the stopper.

        Raises:
            SettingsError: if the finished trial has no such metric.
            KeyboardInterrupt: if somebody stops the job, or this process; the job ends first.
        """
        folder = RunFolder(Path(job.output))
        self._await_writer(folder)
        started = time.monotonic()
        try:
            job_id = self._engine.submit(job)
        except StocktakeError as err:
            return Ended(error=err)
        status, error, asked = self._follow(job_id, folder, earlier)
        history = history_of(folder, self._metric)
        seconds = _seconds(folder, time.monotonic() - started)
        value = self._best([v for v in history if math.isfinite(v)], default=None)
        if asked and status != "done" and value is not None:
            return Ended(value=value, history=history, stopped=True, seconds=seconds)
        if status == "stopped":
            raise KeyboardInterrupt  # not by us: somebody stops the whole search
        if status == "failed":
            error = error or _error_of(folder)
        elif value is None:
            error = self._no_value(folder, history)
        if error:
            return Ended(history=history, seconds=seconds, error=error)
        return Ended(value=value, history=history, seconds=seconds)

    def _follow(
        self, job_id: str, folder: RunFolder, earlier: Sequence[History]
    ) -> tuple[Status, StocktakeError | None, bool]:
        """Wait for the job's end: how it ended, its error, whether the stopper asked for it."""
        asked, seen = False, 0
        try:
            while True:
                status, error = self._look(job_id)
                if status not in ("waiting", "running"):
                    return status, error, asked
                history = history_of(folder, self._metric)
                epochs = range(seen + 1, len(history) + 1)
                if not asked and any(self._stopper(history[:n], earlier) for n in epochs):
                    self._engine.stop(job_id)
                    asked = True
                seen = len(history)
                time.sleep(POLL_S)
        except BaseException:
            self._engine.stop(job_id)
            while self._look(job_id)[0] in ("waiting", "running"):
                time.sleep(POLL_S)
            raise

    def _look(self, job_id: str) -> tuple[Status, StocktakeError | None]:
        try:
            return self._engine.status(job_id), None
        except StocktakeError as err:
            return "failed", err

    def _await_writer(self, folder: RunFolder) -> None:
        """Let a worker finish that outlived a killed search; its trial then counts as it is."""
        if not _is_being_written(folder):
            return
        self._run.warn(f"{folder.path} is still being trained by an earlier process: waiting")
        while _is_being_written(folder):
            time.sleep(POLL_S)

    def _no_value(self, folder: RunFolder, history: History) -> StocktakeError:
        """Why a finished trial has no value; SettingsError at once if train has no such metric."""
        if history:
            return DataError(
                f"{folder.path}: {self._metric} is not finite in any of {len(history)} epochs;"
                " search lower learning rates"
            )
        names = {row["name"] for row in folder.metrics()}
        raise SettingsError(
            f"tune.metric '{self._metric}' is not a metric of train; {nearest(self._metric, names)}"
        )


def history_of(folder: RunFolder, metric: str) -> tuple[float, ...]:
    """The metric by epoch; of an epoch done twice, by a trial begun again, the later value."""
    rows = [row for row in folder.metrics() if row["name"] == metric]
    by_epoch = {int(row["step"]): float(row["value"]) for row in rows}
    return tuple(by_epoch[epoch] for epoch in sorted(by_epoch))


def _is_being_written(folder: RunFolder) -> bool:
    """Whether a worker on this machine holds the folder's lock, as stages/worker.py takes it."""
    lock = folder.path.with_name(f".{folder.path.name}.lock")
    try:
        with lock.open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except FileNotFoundError:
        return False
    except BlockingIOError:
        return True
    return False


def _seconds(folder: RunFolder, waited_s: float) -> float:
    """What the trial's last attempt took, by its own clock where it has one."""
    taken = folder.info().get("seconds") if folder.exists() else None
    return float(taken if taken is not None else waited_s)


def _error_of(folder: RunFolder) -> StocktakeError:
    """The error that a failed run tells of."""
    told = (folder.info().get("error") if folder.exists() else None) or {}
    text = told.get("message", f"{folder.path} failed without a word; its log.jsonl may say more")
    return by_name(told.get("kind", ""), text)
