"""Sampler: a thread that asks the machine how busy it is, and writes it down as it goes.

    with Sampler(Path("profiler-output"), interval_s=0.5):
        train()

It never hurts the training: what cannot be written or asked is counted, and tried again next time.
"""

import json
import socket
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Self

from stocktake.debugger.appending import Appender
from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.probes import Probe, probes

SHORTEST_S, LONGEST_S = 0.1, 60.0
"""Bounds of the interval: SageMaker's."""
FILE_BYTES, FILE_S = 10_485_760, 60.0
"""A file is closed at this size or age, whichever comes first: SageMaker's."""


class Sampler:
    """Samples the machine until it is told to stop."""

    def __init__(
        self,
        folder: Path,
        *,
        interval_s: float = 0.5,
        node: str = "",
        sources: Sequence[Probe] | None = None,
    ) -> None:
        """Nothing happens before `start`.

        Args:
            folder: profiler-output; made if it is not there.
            interval_s: between two rounds, 0.1 to 60 seconds.
            node: this machine's name; empty for its host name.
            sources: what to ask; None for whatever works here.

        Raises:
            DebuggerError: for an interval out of bounds.
        """
        if not SHORTEST_S <= interval_s <= LONGEST_S:
            raise DebuggerError(
                f"interval_s must be {SHORTEST_S} to {LONGEST_S:g} seconds, got {interval_s}"
            )
        self.interval_s = interval_s
        self.node = node or node_name()
        self.lost = 0
        """Rounds that could not be written down, or probes that failed."""
        self._folder = folder / "system" / "incremental"
        self._sources = sources
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self._file: Appender | None = None
        self._opened = 0.0

    def start(self) -> Self:
        """Begin to sample in a thread that ends with the process."""
        if self._thread is None:
            self._stop.clear()
            self._thread = threading.Thread(target=self._run, name="profiler", daemon=True)
            self._thread.start()
        return self

    def stop(self) -> None:
        """Take a last round and end the thread."""
        if self._thread is not None:
            self._stop.set()
            self._thread.join()
            self._thread = None

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self.stop()

    def _run(self) -> None:
        sources = probes() if self._sources is None else self._sources
        self._ask(sources)  # rates need a round to start from; what it gives is written as well
        due = time.monotonic() + self.interval_s
        while not self._stop.wait(max(0.0, due - time.monotonic())):
            self._ask(sources)
            # a machine that slept owes no rounds for the time it missed
            due = max(due + self.interval_s, time.monotonic())
        self._ask(sources)
        self._close()

    def _ask(self, sources: Sequence[Probe]) -> None:
        now = time.time()
        lines = []
        for source in sources:
            try:
                rows = source()
            except Exception:  # noqa: BLE001 - a driver's whim must not end the sampling
                self.lost += 1
                continue
            lines += [self._line(row, now) for row in rows]
        if lines:
            self._write("".join(lines).encode(), now)

    def _line(self, row: tuple[str, str, str, float], now: float) -> str:
        kind, name, dimension, value = row
        made = {"Type": kind, "Name": name, "Dimension": dimension, "Value": round(value, 3)}
        made |= {"NodeId": self.node, "Timestamp": round(now, 6)}
        return json.dumps(made, separators=(",", ":")) + "\n"

    def _write(self, text: bytes, now: float) -> None:
        if self._file is not None and (
            now - self._opened >= FILE_S or self._file.size_bytes >= FILE_BYTES
        ):
            self._close()
        if self._file is None:
            self._file = Appender(self._folder / f"{int(now)}.{self.node}.json")
            self._opened = now
        if not self._file.write(text):
            self.lost += 1
            self._close()  # a folder that was taken away is made again

    def _close(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None


def node_name() -> str:
    """This machine's name, as files are named by it: no slashes."""
    return socket.gethostname().replace("/", "_") or "localhost"
