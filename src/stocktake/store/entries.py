"""Entries: what a store lists, packed, so that a million objects fit into a hundred megabytes."""

from array import array
from collections.abc import Sequence

from stocktake.store.objects import Entry


class Entries:
    """Objects of a listing in the order they came: 17 bytes each beside key and version."""

    def __init__(self) -> None:
        self._text = bytearray()  # key, NUL, version of one after the other
        self._ends = array("Q")
        self._sizes_bytes = array("Q")
        self._is_rising = True
        self._last = ""

    def append(self, entry: Entry) -> None:
        """Add one at the end."""
        self._text += f"{entry.key}\0{entry.version}".encode(*_CODE)
        self._ends.append(len(self._text))
        self._sizes_bytes.append(entry.size_bytes)
        self._is_rising = self._is_rising and self._last <= entry.key
        self._last = entry.key

    def __len__(self) -> int:
        """Objects so far."""
        return len(self._ends)

    def __getitem__(self, place: int) -> Entry:
        """The object that came in that place, from 0."""
        key, size_bytes, version = self.facts(place)
        return Entry(key=key, size_bytes=size_bytes, version=version)

    def facts(self, place: int) -> tuple[str, int, str]:
        """Key, size in bytes and version of the object that came in that place."""
        start = self._ends[place - 1] if place else 0
        key, _, version = self._text[start : self._ends[place]].decode(*_CODE).rpartition("\0")
        return key, self._sizes_bytes[place], version

    def key(self, place: int) -> str:
        """Key of the object that came in that place."""
        return self.facts(place)[0]

    def by_key(self) -> Sequence[int]:
        """Every place, in rising order of the keys."""
        places = range(len(self))
        return places if self._is_rising else array("Q", sorted(places, key=self.key))


_CODE = ("utf-8", "surrogatepass")
"""File names may hold bytes that are no UTF-8; Python shows them as lone surrogates."""
