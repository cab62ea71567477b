"""Gather: photos of several requests go through the model in one batch, behind a bounded queue.

Threads take what is waiting, up to a batch; a thread that has fewer waits a stated time for more.
The queue counts photos, so that neither many requests nor a large one fills memory.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

from stocktake.errors import DataError
from stocktake.schema.predictions import Prediction

log = logging.getLogger("stocktake.serve")

Answer = Prediction | DataError
Predict = Callable[[Sequence[bytes]], Sequence[Answer]]


class QueueFull(Exception):
    """There is no room for these photos now."""


class Closed(Exception):
    """No more photos are taken."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Batched:
    """An answer, and how it came about."""

    answer: Answer
    queue_ms: float
    """Time from asking to the start of its batch, milliseconds."""
    batch: int
    """Photos in its batch."""


@dataclass(slots=True)
class _Waiting:
    photo: bytes
    done: "Future[Batched]"
    since: float = field(default_factory=time.perf_counter)


class Gather:
    """Threads that answer photos in batches.

    Args:
        predict: answers a batch; from several threads at once if there are several workers.
        workers: threads.
        batch: photos in a batch at most.
        wait_s: how long a batch that is not full waits for more, from its first photo on.
        room: photos that may be inside, waiting or being answered.
        on_batch: told the number of photos of each batch.
    """

    def __init__(
        self,
        predict: Predict,
        *,
        workers: int,
        batch: int,
        wait_s: float,
        room: int,
        on_batch: Callable[[int], None] = lambda photos: None,
    ) -> None:
        self._predict = predict
        self._batch = batch
        self._wait_s = wait_s
        self._room = room
        self._on_batch = on_batch
        self._inside = 0
        self._is_closed = False
        self._waiting: deque[_Waiting] = deque()
        self._changed = threading.Condition()
        self._threads = [
            threading.Thread(target=self._work, name=f"count-{i}", daemon=True)
            for i in range(workers)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def inside(self) -> int:
        """Photos waiting or being answered."""
        return self._inside

    def check_room(self, photos: int = 1) -> None:
        """QueueFull if so many photos would find no place now.

        A request of more photos than the whole room is let in when nothing else is inside.
        """
        if self._inside and self._inside + photos > self._room:
            raise QueueFull(f"{self._inside} photos are waiting already")

    def ask(self, photos: Sequence[bytes]) -> "list[Future[Batched]]":
        """A future for each photo; a fault of the model is set on those of its batch.

        Raises:
            QueueFull: if there is no room for all of them.
            Closed: after `close`.
        """
        with self._changed:
            if self._is_closed:
                raise Closed("the server is ending")
            self.check_room(len(photos))
            made = [_Waiting(photo, Future()) for photo in photos]
            self._waiting.extend(made)
            self._inside += len(made)
            self._changed.notify(len(made))
        return [one.done for one in made]

    def close(self) -> None:
        """Answer what is inside, then let the threads end; returns when they have."""
        with self._changed:
            self._is_closed = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while taken := self._take():
            started = time.perf_counter()
            # A client that hung up cancelled its future: its photo is not worth the arithmetic.
            live = [one for one in taken if one.done.set_running_or_notify_cancel()]
            found = self._answers(live, started) if live else []
            # Before anybody is told: whoever has an answer and asks again must find the room.
            with self._changed:
                self._inside -= len(taken)
            for one, answer in zip(live, found, strict=True):
                if isinstance(answer, Exception):
                    one.done.set_exception(answer)
                else:
                    one.done.set_result(answer)

    def _answers(self, live: list[_Waiting], started: float) -> "list[Batched | Exception]":
        """An answer for each photo; where a batch fails, each is tried alone, as one may be why."""
        try:
            self._on_batch(len(live))
            answers = self._predict([one.photo for one in live])
            return [
                Batched(answer=answer, queue_ms=1000 * (started - one.since), batch=len(live))
                for one, answer in zip(live, answers, strict=True)
            ]
        except Exception as err:  # ours; each request reports it under an id of its own
            log.exception("a batch of %d photos failed", len(live))
            if len(live) == 1:
                return [err]
        return [answer for one in live for answer in self._answers([one], started)]

    def _take(self) -> list[_Waiting]:
        """The next batch; none when closed and empty."""
        with self._changed:
            while self._waiting or not self._is_closed:
                if not self._waiting:
                    self._changed.wait()
                    continue
                left = self._waiting[0].since + self._wait_s - time.perf_counter()
                is_full = len(self._waiting) >= self._batch
                if is_full or left <= 0 or self._is_closed:
                    size = min(self._batch, len(self._waiting))
                    return [self._waiting.popleft() for _ in range(size)]
                self._changed.wait(left)
            return []
