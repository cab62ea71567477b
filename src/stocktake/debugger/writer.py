"""Writer: puts rows on disk from a thread of its own, part by part, each whole or not at all.

A part is written when a second has passed since the last one, later in a long run up to half a
minute: a kill loses the rows of that time, and ten hours of saving every step make some thousand
files instead of a million.
"""

import atexit
import json
import os
import sys
import time
import uuid
from collections import deque
from collections.abc import Callable
from pathlib import Path
from threading import Condition, Thread
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stocktake.debugger.errors import RecordError
from stocktake.debugger.files import FORMAT, end_name, log, parts_among

MAX_WAITING = 20_000_000
"""Numbers that may wait for a slow or full disk, 160 MB; more are left out and counted."""
SOON = 200_000
"""So many numbers are written without waiting for their second."""


class Writer:
    """Writes rows in the background; nothing that happens to the disk reaches the training."""

    def __init__(
        self,
        folder: Path,
        *,
        worker: int = 0,
        flush_s: float = 1.0,
        at_exit: Callable[[BaseException | None], None] | None = None,
    ) -> None:
        """Begin a record, or go on with the one that is there.

        Args:
            folder: made if it is not there.
            worker: rank of this process; its parts are its own.
            flush_s: seconds between parts at first.
            at_exit: called where the process ends before `close`, with the error that ended it;
                it closes the writer. The writer closes itself if not given.

        Raises:
            RecordError: if the folder cannot be made or written.
        """
        self.folder, self.worker, self.flush_s = Path(folder), worker, flush_s
        self.written_rows = self.lost_rows = 0
        self.problem = ""
        """The first thing that went wrong with the disk, one line."""
        self._at_exit = at_exit
        self._parts = self._failures = 0
        self._queue: deque[tuple[Callable[[], pa.Table], int, int]] = deque()
        self._waiting = 0
        self._kept: list[pa.Table] = []
        self._is_closing = False
        self._news = Condition()
        self._number = self._begin()
        pa.array([0])  # imports pandas, where it is: no thread can when the process is ending
        self._last = time.monotonic() - flush_s
        self._pid = os.getpid()
        self._thread = Thread(target=self._work, name="debugger-writer", daemon=True)
        self._thread.start()
        atexit.register(self._leave)

    def put(self, make: Callable[[], pa.Table], *, rows: int, numbers: int = 0) -> None:
        """Take what one step saved; returns at once.

        Args:
            make: makes the table, in the writer's thread.
            rows: how many it will have.
            numbers: how many numbers it holds; the number of rows if not said.
        """
        size = max(rows, numbers)
        with self._news:
            if self._is_closing or (self._waiting and self._waiting + size > MAX_WAITING):
                self.lost_rows += rows
                return
            self._queue.append((make, rows, size))
            self._waiting += size
            self._news.notify()

    def lose(self, err: Exception, rows: int) -> None:
        """Count rows that could not be made; the first time it is said why."""
        self.lost_rows += rows
        self._say(err)

    def close(self, status: str = "done", error: str = "", **more: Any) -> None:
        """Write what waits, and how it ended; a second call does nothing. Never raises.

        Args:
            status: "done" or "failed".
            error: one line.
            more: what else `end.json` shall say.
        """
        with self._news:
            if self._is_closing:
                return
            self._is_closing = True
            self._news.notify()
        atexit.unregister(self._leave)
        self._thread.join()
        told = {"format": FORMAT, "status": status, "error": error, **more}
        told |= {"rows": self.written_rows, "lost_rows": self.lost_rows, "problem": self.problem}
        told["time"] = time.time()
        try:
            self._whole(end_name(self.worker), (json.dumps(told, indent=1) + "\n").encode())
        except OSError as err:
            self._say(err)

    def _begin(self) -> int:
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            (self.folder / end_name(self.worker)).unlink(missing_ok=True)
            for name in (f"part-*-w{self.worker}.parquet", end_name(self.worker)):
                for left in self.folder.glob(f".{name}.*.tmp"):
                    left.unlink(missing_ok=True)
            there = [
                number
                for number, worker, _ in parts_among(one.name for one in self.folder.iterdir())
            ]
            probe = self._temporary(f"part-000000-w{self.worker}.parquet")
            probe.touch()
            probe.unlink()
        except OSError as err:
            raise RecordError(
                f"{self.folder} cannot be written ({err.strerror or err}); name another folder"
            ) from None
        return max(there, default=0) + 1

    def _work(self) -> None:
        while True:
            with self._news:
                self._news.wait_for(lambda: self._queue or self._is_closing)
                self._news.wait_for(
                    self._is_pressing,
                    timeout=max(0.0, self._last + self._pause_s() - time.monotonic()),
                )
                taken, is_last = list(self._queue), self._is_closing
                self._queue.clear()
            self._make(taken)
            is_written = self._write()
            self._last = time.monotonic()
            with self._news:
                if is_written or is_last:
                    self.lost_rows += sum(one.num_rows for one in self._kept)
                    self._kept = []
                    self._waiting = sum(size for _, _, size in self._queue)
            if is_last:
                return

    def _is_pressing(self) -> bool:
        """There is no time to wait for the next part's second."""
        much = not self._failures and sum(size for _, _, size in self._queue) >= SOON
        return self._is_closing or much

    def _pause_s(self) -> float:
        """A hundredth of a part more for each part: after t seconds there are sqrt(200 t) parts."""
        return self.flush_s * min(max(1.0, self._parts / 100, 2.0**self._failures), 30.0)

    def _make(self, taken: list[tuple[Callable[[], pa.Table], int, int]]) -> None:
        for make, rows, _ in taken:
            try:
                self._kept.append(make())
            except (RuntimeError, ValueError, TypeError, pa.ArrowException) as err:
                self.lose(err, rows)

    def _write(self) -> bool:
        """Write what is kept; what a full disk does not take is kept for the next time."""
        if self._kept:
            try:
                table = pa.concat_tables(self._kept)
                self._part(table)
            except (OSError, pa.ArrowException) as err:
                self._failures = min(self._failures + 1, 10)
                self._say(err)
                return False
            self.written_rows += table.num_rows
            self._kept = []
        self._failures = 0
        return True

    def _part(self, table: pa.Table) -> None:
        sink = pa.BufferOutputStream()
        pq.write_table(table, sink, compression="zstd")
        while True:
            name = f"part-{self._number:06d}-w{self.worker}.parquet"
            try:
                self._whole(name, sink.getvalue(), is_new=True)
            except FileExistsError:
                self._number += 1
                continue
            self._number += 1
            self._parts += 1
            return

    def _whole(self, name: str, content: Any, *, is_new: bool = False) -> None:
        """Write a file under another name first; a new one never takes the place of another."""
        part, target = self._temporary(name), self.folder / name
        try:
            with part.open("wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if is_new:
                _put_new(part, target)
            else:
                part.replace(target)
        finally:
            part.unlink(missing_ok=True)

    def _temporary(self, name: str) -> Path:
        return self.folder / f".{name}.{uuid.uuid4().hex[:8]}.tmp"

    def _say(self, err: Exception) -> None:
        """Once: a full disk is full at every step."""
        if not self.problem:
            self.problem = f"{self.folder}: {' '.join(str(err).split()) or type(err).__name__}"
            log.warning(
                "the debugger cannot record (%s); training goes on, what is lost is counted",
                self.problem,
            )

    def _leave(self) -> None:
        """The process ends and nobody closed us: by an error, if the interpreter showed one."""
        if os.getpid() != self._pid:
            return
        err = getattr(sys, "last_value", None)
        if self._at_exit is not None:
            self._at_exit(err)
        self.close(*(("failed", one_line(err)) if err is not None else ()))


def _put_new(part: Path, target: Path) -> None:
    """Give a written file its name, unless another has it."""
    try:
        os.link(part, target)
    except FileExistsError:
        raise
    except OSError:  # a file system without links
        if target.exists():
            raise FileExistsError(target) from None
        part.replace(target)


def one_line(err: BaseException) -> str:
    """An error in one line."""
    return " ".join(f"{type(err).__name__}: {err}".split())
