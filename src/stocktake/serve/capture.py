"""Capture: what a server was asked and answered, kept as Parquet files in a folder or bucket.

`note` only puts an event into a queue; a thread of its own makes files and writes them. Where it
cannot keep up, or the place is away or full, events are dropped and counted: answers never wait.
"""

import hashlib
import logging
import threading
import time
import uuid
from collections import Counter, deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, SettingsError, StocktakeError
from stocktake.store.objects import Store

if TYPE_CHECKING:
    import pyarrow as pa

log = logging.getLogger("stocktake.serve")

WAITING = 1000
"""Events that may wait for the thread."""
WAITING_BYTES = 64_000_000
"""Size of the photos of these."""
FILE_BYTES = 24_000_000
"""A file with so many bytes of photos is full, however few they are; a reader takes no object above
50 MB (`store.objects`), and one photo may have 8 MB."""
FIRST_WAIT_S, LONGEST_WAIT_S = 1.0, 60.0
"""Waits between two tries to write where the first one failed; they double."""
CLOSE_S = 5.0
"""Time to write what is left when the server stops; SageMaker leaves 30 s for everything."""

LAST_WAIT_S = 0.2
"""Wait between two tries when the server stops."""

BUSY, OVER, UNFIT, CLOSED = "busy", "over max_mb", "unfit", "closed"
LOST, FAILED = "not written", "failed"
"""Why an event was dropped: the queue was full, the place holds max_mb, the answer has another
form, the server had stopped; it stopped while the place was away, or a fault of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Tally:
    """What became of the events so far."""

    noted: int
    """Events that were to be kept: sampled ones."""
    written: int
    """Of these, in whole files."""
    dropped: Mapping[str, int]
    """Of these, gone, by reason; the others wait."""
    files: int
    """Files written."""
    size_bytes: int
    """Size of these."""
    failures: int
    """Tries to write that failed."""


class Capture:
    """Keeps what a server is asked and answers; `note` it from any thread, `close` it at the end.

    Args:
        store: where files go, from `store.address.open_store(..., create=True)`.
        share: share of events to keep, 0 to 1; chosen by a hash of the event's id.
        every_s: seconds after which a file is written, however few rows it has.
        rows_per_file: rows after which it is written at once.
        max_mb: megabytes of Parquet files below the store's address, those of earlier servers
            included, after which no more are written.

    Raises:
        SettingsError: if one of these is out of its range.
    """

    def __init__(
        self,
        store: Store,
        *,
        share: float = 1.0,
        every_s: float = 60.0,
        rows_per_file: int = 1000,
        max_mb: float = 10_000.0,
    ) -> None:
        _check(share=share, every_s=every_s, rows_per_file=rows_per_file, max_mb=max_mb)
        self._store = store
        self._share = share
        self._every_s = every_s
        self._rows_per_file = rows_per_file
        self._max_bytes = int(max_mb * 1e6)
        self._changed = threading.Condition()  # guards all below
        self._waiting: deque[dict[str, Any]] = deque()
        self._waiting_bytes = 0
        self._held: list[dict[str, Any]] = []  # rows of the next file
        self._held_bytes = 0
        self._since_s = 0.0  # when the first of them came
        self._noted = self._written = self._files = self._size_bytes = self._failures = 0
        self._dropped: Counter[str] = Counter()
        self._there_bytes: int | None = None  # below the address; None before the first look
        self._over = ""  # why nothing more is captured
        self._closing = threading.Event()
        self._until_s: float | None = None  # once it is closed: when to give up
        self._thread = threading.Thread(target=self._work, name="capture", daemon=True)
        self._thread.start()

    def note(
        self,
        photo: bytes,
        content_type: str,
        *,
        answer: Mapping[str, Any],
        status: int,
        endpoint: str,
    ) -> str:
        """Take an event; returns at once.

        Args:
            photo: the photo's bytes as they came.
            content_type: what the client said of them.
            answer: the JSON answer to this one photo; one with `error` where there is no count.
            status: HTTP status of the answer.
            endpoint: the address that was asked, as in /v1/count.

        Returns:
            The event's id; "" if it was not chosen or had to be dropped.
        """
        event_id = uuid.uuid4().hex
        if not is_chosen(event_id, self._share):
            return ""
        event = {
            "captured_at": now(),
            "event_id": event_id,
            "endpoint": endpoint,
            "status": status,
            "content_type": content_type,
            "photo": bytes(photo),
        }
        with self._changed:
            self._noted += 1
            reason = self._refuses(len(photo))
            if reason:
                self._dropped[reason] += 1
                return ""
            self._waiting.append({"event": event, "answer": dict(answer)})
            self._waiting_bytes += len(photo)
            self._changed.notify_all()
        return event_id

    def tally(self) -> Tally:
        """What became of the events so far."""
        with self._changed:
            return Tally(
                noted=self._noted,
                written=self._written,
                dropped=dict(self._dropped),
                files=self._files,
                size_bytes=self._size_bytes,
                failures=self._failures,
            )

    def close(self, timeout_s: float = CLOSE_S) -> None:
        """Write what is left, or say what could not be written within `timeout_s`; once is enough.

        Args:
            timeout_s: seconds it may take; what a store that hangs has not taken by then is lost.
        """
        with self._changed:
            if self._until_s is not None:
                return
            self._until_s = time.monotonic() + timeout_s
            self._changed.notify_all()
        self._closing.set()
        self._thread.join(timeout_s)
        with self._changed:
            left = self._noted - self._written - self._dropped.total()
            if left:
                self._dropped[LOST] += left
            dropped = dict(self._dropped)
        if dropped:
            told = ", ".join(f"{n} {reason}" for reason, n in sorted(dropped.items()))
            log.warning(
                "capture: %d of %d events were not kept: %s",
                sum(dropped.values()),
                self._noted,
                told,
            )

    def _refuses(self, size_bytes: int) -> str:
        """Why an event with a photo of that size is dropped; "" if it is not."""
        if self._until_s is not None:
            return CLOSED
        if self._over:
            return self._over
        is_full = len(self._waiting) >= WAITING
        return BUSY if is_full or self._waiting_bytes + size_bytes > WAITING_BYTES else ""

    # what follows runs in the thread

    def _work(self) -> None:
        try:
            while self._gather():
                self._write_file()
        except Exception:
            log.exception("capture: a fault of ours; nothing more is captured")
            with self._changed:
                self._drop_all(FAILED)

    def _gather(self) -> bool:
        """Hold events until a file is due; False once it is closed and none is left."""
        with self._changed:
            while True:
                while self._waiting and not self._is_due():
                    if not self._hold(self._waiting[0]):
                        return True
                if self._is_due():
                    return True
                if self._until_s is not None:
                    return bool(self._held) and time.monotonic() < self._until_s
                left_s = self._since_s + self._every_s - time.monotonic() if self._held else None
                self._changed.wait(left_s)

    def _is_due(self) -> bool:
        return bool(self._held) and (
            len(self._held) >= self._rows_per_file
            or self._held_bytes >= FILE_BYTES
            or time.monotonic() - self._since_s >= self._every_s
        )

    def _hold(self, waiting: dict[str, Any]) -> bool:
        """Move the first event that waits to the next file; False if it is of another hour."""
        event = waiting["event"]
        if not self._held:
            self._since_s = time.monotonic()
        elif (
            f"{self._held[0]['event']['captured_at']:%Y%m%d%H}"
            != f"{event['captured_at']:%Y%m%d%H}"
        ):
            return False
        self._waiting.popleft()
        self._waiting_bytes -= len(event["photo"])
        self._held.append(waiting)
        self._held_bytes += len(event["photo"])
        return True

    def _write_file(self) -> None:
        """Write the rows held as one file, when the place takes it; then hold none."""
        from stocktake.schema import captures

        table = self._fitting()
        if len(table):
            key = captures.key_of(table["captured_at"][0].as_py(), table["event_id"][0].as_py())
            self._put(key, captures.packed(table), rows=len(table))
        with self._changed:
            self._held, self._held_bytes = [], 0

    def _fitting(self) -> "pa.Table":
        """The rows held, without those whose answer has another form than ours."""
        from stocktake.schema import captures

        rows = [captures.row_of(held["event"], held["answer"]) for held in self._held]
        with suppress(DataError):
            return captures.table_of(rows)
        fitting = []
        for row in rows:
            try:
                captures.table_of([row])
            except DataError as err:
                if not self._dropped[UNFIT]:
                    log.warning("capture: an event is not kept, like all of its kind: %s", err)
                with self._changed:
                    self._dropped[UNFIT] += 1
            else:
                fitting.append(row)
        return captures.table_of(fitting)

    def _put(self, key: str, data: bytes, *, rows: int) -> None:
        """Write the file, however often that takes, unless the place is full or time is up."""
        wait_s, failed = FIRST_WAIT_S, 0
        while True:
            try:
                if self._has_room(len(data)):
                    self._store.write(key, data)
                    self._count(rows, len(data))
                else:
                    self._give_up(rows)
                if failed:
                    log.warning("capture: %s takes files again", self._store.address)
                return
            except (StocktakeError, OSError) as err:
                failed += 1
                if failed == 1:
                    log.warning("capture: a file could not be written, trying on: %s", err)
            with self._changed:
                self._failures += 1
                if self._until_s is not None and time.monotonic() >= self._until_s:
                    return  # `close` counts what is lost
            if self._closing.wait(wait_s):
                time.sleep(LAST_WAIT_S)
            wait_s = min(2 * wait_s, LONGEST_WAIT_S)

    def _has_room(self, size_bytes: int) -> bool:
        if self._there_bytes is None:
            entries = self._store.list()
            self._there_bytes = sum(e.size_bytes for e in entries if e.key.endswith(".parquet"))
        return self._there_bytes + size_bytes <= self._max_bytes

    def _count(self, rows: int, size_bytes: int) -> None:
        with self._changed:
            self._written += rows
            self._files += 1
            self._size_bytes += size_bytes
            self._there_bytes = (self._there_bytes or 0) + size_bytes

    def _drop_all(self, reason: str) -> None:
        """Drop what is held and what waits, and all that is to come."""
        self._dropped[reason] += len(self._held) + len(self._waiting)
        self._held = []
        self._waiting.clear()
        self._waiting_bytes = 0
        self._over = reason

    def _give_up(self, rows: int) -> None:
        """The place holds what it may: drop these rows, those that wait, and all to come."""
        with self._changed:
            self._dropped[OVER] += rows
            self._held = []
            self._drop_all(OVER)
        log.warning(
            "capture: %s holds %.0f MB of at most %.0f MB; nothing more is captured",
            *(self._store.address, (self._there_bytes or 0) / 1e6, self._max_bytes / 1e6),
        )


def now() -> datetime:
    """The time events are marked with, UTC."""
    return datetime.now(UTC)


def is_chosen(event_id: str, share: float) -> bool:
    """Whether an event is among the share to keep, 0 to 1; the same for the same id."""
    place = int.from_bytes(hashlib.sha256(event_id.encode()).digest()[:8], "big")
    return place < share * 2**64


def _check(*, share: float, every_s: float, rows_per_file: int, max_mb: float) -> None:
    if not 0 <= share <= 1:
        raise SettingsError(f"capture: share must be between 0 and 1, got {share}")
    if rows_per_file < 1:
        raise SettingsError(f"capture: rows_per_file must be 1 or more, got {rows_per_file}")
    for name, value in (("every_s", every_s), ("max_mb", max_mb)):
        if not value > 0:
            raise SettingsError(f"capture: {name} must be above 0, got {value}")
