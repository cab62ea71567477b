"""Retry: reading from a store that stumbles, again after a growing wait, until it is no use.

The store's own library asks a server again within seconds; this is for what takes longer (a server
that restarts) and for what the library cannot see (bytes that are not those of the listing).
"""

import random
import threading
import time
from collections.abc import Iterator

from stocktake.errors import DataError
from stocktake.store.objects import Away, Entry, Garbled, Missing, Refused, Store

AWAY_S = 120
"""A server that restarts is back within half a minute; SeaweedFS needed 12 s on 2026-11-25."""
GARBLED_TRIES = 5
FIRST_WAIT_S, LONGEST_WAIT_S = 0.1, 5.0


class Unanswered(DataError):
    """The place answers, but never for this object."""


class PatientReader:
    """Reads objects of a store for several threads; `close` ends every wait at once.

    Args:
        store: where they are.
        away_s: seconds after which a store or object without an answer is given up.
    """

    def __init__(self, store: Store, *, away_s: float = AWAY_S) -> None:
        self._store = store
        self._away_s = away_s
        self._closed = threading.Event()
        self._answered_s: float | None = None

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        """The object's bytes, as `Store.read` gives them.

        Raises:
            Missing, Refused: as `Store.read` does.
            Garbled: if five times something else arrived than was listed.
            Unanswered: if there was no answer for this object while there was for others.
            DataError: if the store answered nobody; at once where it never did.
        """
        began_s, garbled, waits = time.monotonic(), 0, _waits_s()
        while True:
            try:
                data = self._store.read(key, listed=listed)
            except (Missing, Refused):
                self._answered_s = time.monotonic()
                raise
            except Garbled:
                self._answered_s = time.monotonic()
                garbled += 1
                if garbled == GARBLED_TRIES:
                    raise
            except Away as err:
                self._check_patience(key, began_s, err)
            else:
                self._answered_s = time.monotonic()
                return data
            if self._closed.wait(next(waits)):
                raise DataError(f"{self._store.address}/{key} was not read: the reader was closed")

    def close(self) -> None:
        """End the waits of all threads."""
        self._closed.set()

    def _check_patience(self, key: str, began_s: float, err: Away) -> None:
        """Raise unless it is worth waiting for an answer."""
        if self._answered_s is None:
            raise err
        if time.monotonic() - began_s < self._away_s:
            return
        if self._answered_s > began_s:
            raise Unanswered(
                f"{self._store.address}/{key} had no answer in {self._away_s:g} s, others had"
            ) from err
        raise DataError(
            f"{err}; no answer for {self._away_s:g} s, run it again later to go on from here"
        ) from err


def _waits_s() -> Iterator[float]:
    """Growing waits, each shortened at random so that threads do not all come back together."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s * random.uniform(0.5, 1)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
