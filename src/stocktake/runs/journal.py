"""The growing files of a run: metrics, log, progress. Appended line by line, safe to tail."""

import json
import os
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

PROGRESS_EVERY_S = 0.2
"""Progress is written at most this often: a bar cannot show more, a disk should not do more."""


def write_whole(path: Path, text: str) -> None:
    """Replace a small text file in one step: readers see the old text or the new, never half."""
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        part.write_text(text, encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def append(path: Path, row: dict[str, Any]) -> None:
    """Add one JSON line; a line is written by one call, so a reader never sees two mixed."""
    with path.open("a", encoding="utf-8") as file:
        file.write(json.dumps(row, ensure_ascii=False, default=str) + "\n")


def read_lines(path: Path) -> Iterator[dict[str, Any]]:
    """The rows of a JSON-lines file; a last line cut off by a crash is left out."""
    if not path.exists():
        return
    with path.open(encoding="utf-8") as file:
        for line in file:
            if not line.endswith("\n"):
                return
            yield json.loads(line)


@dataclass(frozen=True, kw_only=True, slots=True)
class Progress:
    """How far a run is."""

    done: int
    total: int | None
    what: str
    started: float
    now: float

    @property
    def per_s(self) -> float:
        """Things done per second since the first of them."""
        return self.done / max(self.now - self.started, 1e-6)

    @property
    def left_s(self) -> float | None:
        """Seconds to go at this rate; None while nobody can know."""
        if not self.total or not self.done:
            return None
        return max(self.total - self.done, 0) / max(self.per_s, 1e-9)


class ProgressFile:
    """Writes `progress.json` of one run, at most a few times a second."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._what = ""
        self._started = 0.0
        self._written = 0.0

    def update(self, done: int, total: int | None, what: str) -> None:
        """Say how far the run is; the last call of a kind (done == total) is always written."""
        now = time.time()
        if what != self._what:
            self._what, self._started, self._written = what, now, 0.0
        if now - self._written < PROGRESS_EVERY_S and done != total:
            return
        self._written = now
        state = Progress(done=done, total=total, what=what, started=self._started, now=now)
        write_whole(self._path, json.dumps(asdict(state)))

    def clear(self) -> None:
        """Remove the file: the run has ended."""
        self._path.unlink(missing_ok=True)


def read_progress(path: Path) -> Progress | None:
    """The last progress written, or None."""
    try:
        return Progress(**json.loads(path.read_text(encoding="utf-8")))
    except (OSError, ValueError, TypeError):
        return None
