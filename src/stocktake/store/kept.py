"""Kept: what a writer of shards that was killed leaves behind, and how much of it can be trusted.

Whole shards, held to what their writer noted of them; and the spool: groups of rows that
were not yet in a whole shard, as Arrow streams.
"""

import hashlib
import struct
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from stocktake.errors import DataError
from stocktake.schema import photos as schema
from stocktake.store import tables


@dataclass(frozen=True, kw_only=True, slots=True)
class WholeShard:
    """One finished shard file, as its writer noted it."""

    name: str
    """The file's name, as in part-00000.parquet."""
    photos: int
    """Rows in it."""
    last_id: str
    """Id of its last photo; "" if it has none."""
    size_bytes: int
    """Size of the file."""
    sha256: str
    """SHA-256 of the file, hex."""


def note(path: Path, *, photos: int, last_id: str, sha256: str = "") -> WholeShard:
    """What there is to know again of a finished shard; its hash is read off it unless given."""
    return WholeShard(
        name=path.name,
        photos=photos,
        last_id=last_id,
        size_bytes=path.stat().st_size,
        sha256=sha256 or _sha256(path),
    )


def is_sound(folder: Path, shard: WholeShard, *, format: str = schema.FORMAT) -> bool:
    """Whether the file is there as noted: format, rows, size and bytes."""
    path = folder / shard.name
    try:
        if path.stat().st_size != shard.size_bytes or _sha256(path) != shard.sha256:
            return False
        with pq.ParquetFile(path) as file:
            tables.check_format(path, file.schema_arrow, format)
            return bool(file.metadata.num_rows == shard.photos)
    except (OSError, pa.ArrowException, DataError):
        return False


class Spool:
    """Rows that are not yet in a whole shard, on disk as soon as they are written.

    Each group of rows stands behind its size (8 bytes) and its SHA-256 (32 bytes).
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file: BinaryIO | None = None

    def write(self, table: pa.Table) -> None:
        """Add a group of photos."""
        made = pa.BufferOutputStream()
        with pa.ipc.new_stream(made, table.schema) as stream:
            stream.write_table(table)
        group = made.getvalue()
        with tables.told_where(self._path):
            if self._file is None:
                self._file = self._path.open("wb")
            self._file.write(_HEAD.pack(group.size, hashlib.sha256(group).digest()))
            self._file.write(group)
            self._file.flush()

    def drop(self) -> None:
        """Forget all: the rows are in a whole shard now."""
        self.close()
        self._path.unlink(missing_ok=True)

    def close(self) -> None:
        """Close the file and leave it where it is."""
        if self._file is not None:
            with suppress(OSError):
                self._file.close()
        self._file = None


def spooled(path: Path) -> Iterator[dict[str, Any]]:
    """The rows in a spool, up to the first group that is cut off or damaged."""
    try:
        file = path.open("rb")
    except OSError:
        return
    with file:
        while len(head := file.read(_HEAD.size)) == _HEAD.size:
            size_bytes, sha256 = _HEAD.unpack(head)
            group = file.read(min(size_bytes, path.stat().st_size))
            if hashlib.sha256(group).digest() != sha256:
                return
            yield from pa.ipc.open_stream(group).read_all().to_pylist()


_HEAD = struct.Struct("<Q32s")


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
