"""Retry: reading from a store that stumbles, again after a growing wait, until it is no use.

The store's own library asks a server again within seconds; this is for what takes longer (a server
that restarts) and for what the library cannot see (bytes that are not those of the listing).
"""

import random
import threading
import time
from collections.abc import Iterator

from stocktake.errors import DataError
from stocktake.store.objects import Away, Entry, Garbled, Store

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
        self._witness: str | None = None  # the object read last

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        """The object's bytes, as `Store.read` gives them.

        Raises:
            Missing, Refused: as `Store.read` does.
            Garbled: if five times something else arrived than was listed.
            Unanswered: if there was no answer for this object while there was for another.
            DataError: if the store answered nobody; at once where it never did.
        """
        began_s, garbled, is_last_try, waits = time.monotonic(), 0, False, _waits_s()
        while True:
            try:
                data = self._store.read(key, listed=listed)
            except Garbled:
                garbled += 1
                if garbled == GARBLED_TRIES:
                    raise
            except Away as err:
                if is_last_try:
                    raise self._unanswered(key) from err
                is_last_try = self._is_no_use(began_s, err)
                if is_last_try:
                    continue
            else:
                self._witness = key
                return data
            if self._closed.wait(next(waits)):
                raise DataError(f"{self._store.address}/{key} was not read: the reader was closed")

    def close(self) -> None:
        """End the waits of all threads."""
        self._closed.set()

    def _is_no_use(self, began_s: float, err: Away) -> bool:
        """Whether patience is at an end, while an object read before is answered still."""
        if self._witness is None:
            raise err
        if time.monotonic() - began_s < self._away_s:
            return False
        try:
            self._store.read(self._witness)
        except Away:
            raise DataError(
                f"{err}; no answer for {self._away_s:g} s, run it again later to go on from here"
            ) from err
        except DataError:
            return True  # no longer there, perhaps; but that is an answer
        return True

    def _unanswered(self, key: str) -> Unanswered:
        where = f"{self._store.address}/{key}"
        return Unanswered(f"{where} had no answer in {self._away_s:g} s, {self._witness} had")


def _waits_s() -> Iterator[float]:
    """Growing waits, each shortened at random so that threads do not all come back together."""
    wait_s = FIRST_WAIT_S
    while True:
        yield wait_s * random.uniform(0.5, 1)
        wait_s = min(2 * wait_s, LONGEST_WAIT_S)
