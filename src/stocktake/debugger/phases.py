"""Phases: how long each part of a step takes, as a trace that Perfetto opens.

    phases = Phases(Path("profiler-output"))
    for batch in phases.watch(loader):          # measures "data wait" and the step
        with phases("forward"):
            loss = model(batch)
    phases.close()

The names below are those that rules and report know; any other is drawn as well. A phase costs
about two microseconds (bench in its test), and nothing it does can fail the loop.
"""

import json
import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, suppress
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, TypeVar

from stocktake.debugger.appending import Appender
from stocktake.debugger.samples import STEP_PREFIX, WORKERS
from stocktake.debugger.system import node_name

DATA_WAIT, HOST_TO_DEVICE = "data wait", "host to device"
FORWARD, BACKWARD, OPTIMIZER = "forward", "backward", "optimizer"
EVALUATION, CHECKPOINT = "evaluation", "checkpoint"
PHASES = (DATA_WAIT, HOST_TO_DEVICE, FORWARD, BACKWARD, OPTIMIZER, EVALUATION, CHECKPOINT)

MAX_SPANS = 1_000_000
"""Then no more are kept, about 130 MB: SageMaker's rules keep as many."""
PENDING_SPANS, PENDING_S = 512, 5.0
"""They are written when there are so many, or when the oldest is so old."""

Batch = TypeVar("Batch")
Seen = tuple[str, int, int, int, str, int, int]
"""Name, begin and end in nanoseconds, step, mode, thread, number of phases around it."""


class _Thread(threading.local):
    def __init__(self) -> None:
        self.depth = 0
        self.number = threading.get_native_id()


class Phases:
    """Takes the time of a loop's phases and steps, in one process."""

    def __init__(
        self, folder: Path, *, node: str = "", synchronize: Callable[[], object] | None = None
    ) -> None:
        """Nothing is written before the first span.

        Args:
            folder: profiler-output; made if it is not there.
            node: this machine's name; empty for its host name.
            synchronize: called at both ends of a phase, as `torch.cuda.synchronize`: a GPU works
                on after a call returns, so its time is seen late without. It slows the loop.
        """
        self.node = node or node_name()
        self.mode, self.step_number = "train", -1
        """What is going on; -1 outside of steps."""
        self.dropped = 0
        """Spans that were not kept: too many, or no room on the disk."""
        self._synchronize = synchronize
        self._pending: deque[Seen] = deque()
        self._kept = 0
        self._steps: dict[str, int] = {}
        self._thread = _Thread()
        self._names: dict[str, str] = {}
        # one clock that never jumps, told once what the time of day was
        self._base_ns, now = time.perf_counter_ns(), time.time()
        self._flushed_ns = self._base_ns
        self._file = Appender(folder / self._path(now))
        self._write(self._head(now))

    def __call__(self, name: str) -> AbstractContextManager[None]:
        """Take the time of what is done inside: `with phases("forward"): ...`."""
        return _Open(self, name)

    def step(self, mode: str = "train") -> "_Step":
        """Take the time of one whole step; steps are counted from 0 within their mode."""
        return _Step(self, mode)

    def watch(
        self,
        loader: Iterable[Batch],
        mode: str = "train",
        *,
        before_step: Callable[[int], None] | None = None,
    ) -> Iterator[Batch]:
        """The loader's batches, each in a step that begins by waiting for it.

        The last step is not counted where the loop is left by `break` or an error: nobody knows
        when it ended.

        Args:
            loader: gives the batches; the number of its workers is noted if it has some.
            mode: "train", "eval" or "predict".
            before_step: told the number of each step before its time begins.
        """
        self.note_workers(int(getattr(loader, "num_workers", 0) or 0))
        with self("loader start"):
            batches = iter(loader)
        while True:
            step = self.step(mode)
            if before_step is not None:
                before_step(self._steps.get(mode, -1) + 1)
            step.begin()
            try:
                with self(DATA_WAIT):
                    batch = next(batches)
            except BaseException as error:
                step.drop()
                if isinstance(error, StopIteration):
                    return
                raise
            try:
                yield batch
            except BaseException:
                step.drop()
                raise
            step.end()

    def note_workers(self, count: int) -> None:
        """Say how many processes load data for the loop; 0 if it does so itself."""
        at_us = (time.perf_counter_ns() - self._base_ns) / 1e3
        event = {"name": WORKERS, "ph": "C", "pid": os.getpid(), "ts": at_us}
        self._write(_line(event | {"args": {"workers": count}}))

    def flush(self) -> None:
        """Write what is pending."""
        lines = []
        pid, base_ns, names = os.getpid(), self._base_ns, self._names
        while self._pending:
            name, begin_ns, end_ns, step, mode, thread, depth = self._pending.popleft()
            shown = names.get(name) or names.setdefault(name, json.dumps(name))
            meant = names.get(mode) or names.setdefault(mode, json.dumps(mode))
            # both ends are cut to microseconds, not the length: what is nested stays nested
            begin_us, end_us = (begin_ns - base_ns) // 1000, (end_ns - base_ns) // 1000
            inner = ',"outer":0' if depth else ""
            lines.append(
                f'{{"name":{shown},"ph":"X","pid":{pid},"tid":{thread},'
                f'"ts":{begin_us},"dur":{end_us - begin_us},'
                f'"args":{{"step_num":{step},"mode":{meant}{inner}}}}},\n'
            )
        room = max(0, MAX_SPANS - self._kept)
        self.dropped += max(0, len(lines) - room)
        lines = lines[:room]
        if lines and self._write("".join(lines).encode()):
            self._kept += len(lines)
        else:
            self.dropped += len(lines)
        self._flushed_ns = time.perf_counter_ns()

    def close(self) -> None:
        """Write what is left, and the bracket that makes the file plain JSON."""
        self.flush()
        last = {"name": "process_labels", "ph": "M", "pid": os.getpid()}
        self._write(_line(last | {"args": {"labels": "ended"}})[:-2] + b"\n]\n")
        self._file.close()

    def _write(self, piece: bytes) -> bool:
        if self._file.write(piece):
            return True
        self._file.close()
        return False

    def _path(self, now: float) -> str:
        hour = datetime.fromtimestamp(now, UTC).strftime("%Y%m%d%H")
        name = f"{int(now * 1e6)}_{os.getpid()}-{self.node}_pythontimeline.json"
        return f"framework/pevents/{hour}/{name}"

    def _head(self, now: float) -> bytes:
        said = {"name": f"training on {self.node}", "cores": usable_cores()}
        said |= {"start_time_since_epoch_in_micros": int(now * 1e6)}
        event = {"name": "process_name", "ph": "M", "pid": os.getpid(), "args": said}
        return b"[\n" + _line(event)


class _Open:
    """One phase."""

    __slots__ = ("_begin_ns", "_name", "_phases")

    def __init__(self, phases: Phases, name: str) -> None:
        self._phases = phases
        self._name = name

    def __enter__(self) -> None:
        phases = self._phases
        phases._thread.depth += 1
        if phases._synchronize is not None:
            phases._synchronize()
        self._begin_ns = time.perf_counter_ns()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        phases = self._phases
        if phases._synchronize is not None and kind is None:
            phases._synchronize()
        end_ns = time.perf_counter_ns()
        thread = phases._thread
        depth = thread.depth = thread.depth - 1
        pending = phases._pending
        pending.append(
            (
                self._name,
                self._begin_ns,
                end_ns,
                phases.step_number,
                phases.mode,
                thread.number,
                depth,
            )
        )
        if len(pending) >= PENDING_SPANS:
            phases.flush()


class _Step:
    """One step; what was going on before goes on after it."""

    def __init__(self, phases: Phases, mode: str) -> None:
        self._phases, self._mode = phases, mode

    def begin(self) -> None:
        phases = self._phases
        self._before = phases.mode, phases.step_number
        phases.mode = self._mode
        phases.step_number = phases._steps.get(self._mode, -1) + 1
        self._begin_ns = time.perf_counter_ns()

    def end(self) -> None:
        phases = self._phases
        end_ns = time.perf_counter_ns()
        phases._steps[self._mode] = number = phases.step_number
        name = f"{STEP_PREFIX}{self._mode.upper()}"
        thread = phases._thread.number
        phases._pending.append((name, self._begin_ns, end_ns, number, self._mode, thread, 0))
        self.drop()
        if end_ns - phases._flushed_ns > PENDING_S * 1e9:
            phases.flush()

    def drop(self) -> None:
        self._phases.mode, self._phases.step_number = self._before

    def __enter__(self) -> None:
        self.begin()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            self.end()
        else:
            self.drop()


def usable_cores() -> int:
    """Cores that this process may use."""
    with suppress(AttributeError, OSError):  # no such call outside Linux
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _line(event: dict[str, Any]) -> bytes:
    return (json.dumps(event, separators=(",", ":")) + ",\n").encode()
