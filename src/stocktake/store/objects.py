"""Objects: what a place with objects offers, whether it is a folder or a bucket."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Protocol

from stocktake.errors import DataError


class Missing(DataError):
    """There is no object of that key."""


class Refused(DataError):
    """There is, or may be, an object of that key, but this one may not be read."""


class Away(DataError):
    """The place does not answer now; asked again later, it may."""


class Garbled(DataError):
    """What arrived is not what was listed or announced; read again, it may be."""


MAX_BYTES = 50_000_000
"""A larger object is refused unread; bin photos have about 60 kB, the largest 200 kB."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One object in a listing."""

    key: str
    """Its name below the store's address, with '/' between parts."""
    size_bytes: int
    """Its size."""
    version: str
    """Differs when the object was written anew: a time, or the server's tag."""


class Store(Protocol):
    """A place with objects to list, read and write; safe to use from several threads."""

    address: str
    """Where it is, as people write it."""
    lists_fast: bool
    """Whether listing costs next to nothing beside reading: true for a folder."""

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every object below the folder `prefix`, in any order; none if there is no such folder.

        Raises:
            DataError: if the place cannot be listed.
        """
        ...

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        """The object's bytes, whole.

        Args:
            key: its name.
            listed: what a listing said of it; what arrives must be that.

        Raises:
            Missing: if there is none.
            Refused: if this one may not be read, or is above MAX_BYTES.
            Garbled: if something else arrived than was listed or announced.
            Away: if the place does not answer.
            DataError: if it answers, but will give nothing to anybody as we ask.
        """
        ...

    def exists(self, key: str) -> bool:
        """Whether there is an object of that key."""
        ...

    def write(self, key: str, data: bytes) -> None:
        """Put an object there, whole or not at all; one of that key is replaced.

        Raises:
            Refused: if the place does not take it.
            DataError: if the place does not answer.
        """
        ...


def check_key(key: str) -> None:
    """Raise Refused for a key that could lead out of its store."""
    path = PurePosixPath(key)
    if not key or path.is_absolute() or ".." in path.parts or "\0" in key or "\\" in key:
        raise Refused(f"'{key}' is not a key below the source, such as bin-images/00001.jpg")


def check_size(where: str, size_bytes: int) -> None:
    """Raise Refused for an object too large to be anything we take."""
    if size_bytes > MAX_BYTES:
        raise Refused(f"{where} has {size_bytes:,} bytes, at most {MAX_BYTES:,} are taken")


def check_arrived(where: str, data: bytes, size_bytes: int) -> None:
    """Raise Garbled unless as many bytes arrived as were said to be there."""
    if len(data) != size_bytes:
        raise Garbled(f"of {where} {len(data):,} bytes arrived, {size_bytes:,} were expected")
