"""Shards: photos in a folder of Parquet files, sorted by id, read at random without unpacking.

part-00000.parquet, part-00001.parquet...: row groups of 100 photos, the jpeg column plain and
uncompressed, so that any Parquet reader reads it, and ours one photo at its place in the file.
"""

import os
import shutil
import struct
import threading
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stocktake.errors import DataError
from stocktake.schema import photos as schema
from stocktake.store import tables
from stocktake.store.hashed import HashedFile
from stocktake.store.kept import Spool, WholeShard, note

ROWS_PER_GROUP = 100
"""Photos in a row group: about 6 MB of photos, read whole by other readers."""


SPOOL = ".spool"
"""In the folder that is being written: rows that are not yet in a whole shard."""


class ShardWriter:
    """Writes photos into a folder of shards; the folder appears when all are written.

    Args:
        folder: where the shards will be; an older folder of that name is replaced at the end.
        photos_per_shard: photos in one file.
        kept: what a killed writer of the same photos left and is sound; None clears all away.
        on_shard: told of each shard as soon as it is whole, so that it can be kept.

    With `on_shard`, a failure leaves what is whole, and the rows after it in a spool.

    Groups of rows are written by a thread, one at a time, while the next one is gathered; `add`
    and the end raise what went wrong there.
    """

    def __init__(
        self,
        folder: Path,
        photos_per_shard: int = 2000,
        *,
        kept: Sequence[WholeShard] = (),
        on_shard: Callable[[WholeShard], None] | None = None,
    ) -> None:
        self._folder = Path(folder)
        self._part = part_of(self._folder)
        self._photos_per_shard = photos_per_shard
        self._kept = list(kept)
        self._on_shard = on_shard
        self._spool = Spool(self._part / SPOOL) if on_shard else None
        self._waiting: list[Mapping[str, Any]] = []
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="shards")
        self._writing: Future[None] | None = None
        self._writer: pq.ParquetWriter | None = None
        self._file: HashedFile | None = None
        self._in_shard = 0
        self._shards = len(self._kept)
        self._last: str | None = self._kept[-1].last_id if self._kept else None

    def __enter__(self) -> "ShardWriter":
        if not self._kept:
            shutil.rmtree(self._part, ignore_errors=True)
        self._part.mkdir(parents=True, exist_ok=True)
        names = {shard.name for shard in self._kept}
        for path in self._part.iterdir():
            if path.name not in names:
                path.unlink()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                self._close_shard()
                if not self._shards:
                    self._open_shard()
                    self._close_shard()
                self._publish()
        finally:
            self._thread.shutdown()
            self._abandon()

    def add(self, row: Mapping[str, Any]) -> None:
        """Take one photo: a value for every column of photos/1; ids must rise.

        Raises:
            DataError: if its id does not follow the one before.
            OSError: if the disk is full.
        """
        photo_id = row["photo_id"]
        if self._last is not None and photo_id.encode() <= self._last.encode():
            raise DataError(f"photo ids must rise; '{photo_id}' follows '{self._last}'")
        self._last = photo_id
        self._waiting.append(row)
        self._in_shard += 1
        is_full = self._in_shard == self._photos_per_shard
        if is_full or len(self._waiting) == ROWS_PER_GROUP:
            self._write_group()
        if is_full:
            self._close_shard()

    def _publish(self) -> None:
        """Make the folder appear; the bytes of its shards are on the disk."""
        shutil.rmtree(self._folder, ignore_errors=True)
        self._part.rename(self._folder)

    def _abandon(self) -> None:
        """Clear away what is not to stay; the first error is the one to tell, not one of here."""
        if self._writer is not None and self._file is not None:
            with suppress(OSError, pa.ArrowException):
                self._writer.close()
            with suppress(OSError):
                self._file.close()
            self._file.path.unlink(missing_ok=True)
        if self._spool is None:
            shutil.rmtree(self._part, ignore_errors=True)
        else:
            self._spool.close()

    def _open_shard(self) -> tuple[pq.ParquetWriter, HashedFile]:
        """The shard that is being written; it gets its own name when it is whole."""
        if self._writer is None or self._file is None:
            plain = [path for path in _leaves(schema.SCHEMA) if path != "jpeg"]
            self._file = HashedFile(self._part / ".growing")
            self._writer = pq.ParquetWriter(
                self._file,
                schema.SCHEMA.with_metadata({tables.FORMAT_KEY: schema.FORMAT.encode()}),
                compression=dict.fromkeys(plain, "zstd") | {"jpeg": "NONE"},
                use_dictionary=plain,
                write_statistics=plain,
                write_page_checksum=True,
            )
        return self._writer, self._file

    def _write_group(self) -> None:
        """Hand the rows that wait to the thread, once it is through with those before."""
        self._settle()
        if self._waiting:
            self._writing = self._thread.submit(self._write, self._waiting)
            self._waiting = []

    def _settle(self) -> None:
        """Wait for the thread, and raise what it met."""
        writing, self._writing = self._writing, None
        if writing:
            writing.result()

    def _write(self, rows: list[Mapping[str, Any]]) -> None:
        table = pa.Table.from_pylist(rows, schema=schema.SCHEMA)
        with tables.told_where(self._folder):
            writer, file = self._open_shard()
            if self._spool:
                self._spool.write(table)
            writer.write_table(table)
            file.sync()  # here nobody waits for it; at the end of a shard everybody would

    def _close_shard(self) -> None:
        self._write_group()
        self._settle()
        if self._writer is None or self._file is None:
            return
        path = self._part / f"part-{self._shards:05d}.parquet"
        with tables.told_where(path):
            self._writer.close()
            self._writer = None
            self._file.sync()
            self._file.close()
            self._file.path.rename(path)
        if self._on_shard:
            sha256, last_id = self._file.sha256(), self._last or ""
            self._on_shard(note(path, photos=self._in_shard, last_id=last_id, sha256=sha256))
        if self._spool:
            self._spool.drop()
        self._shards += 1
        self._in_shard = 0


def part_of(folder: Path) -> Path:
    """Where the shards of a folder are while they are written."""
    return folder.with_name(f".{folder.name}.part")


def by_shard(folder: Path, columns: Sequence[str]) -> Iterator[pa.Table]:
    """Some columns of all photos in order, a table for each shard: one file at a time is open.

    Raises:
        DataError: if a shard is damaged or of another format.
    """
    for path in sorted(folder.glob("part-*.parquet")):
        yield tables.read_table(path, format=schema.FORMAT, columns=columns)


class PhotoShards:
    """Photos on disk, in rising order of id; safe to use from several threads."""

    def __init__(self, parts: Sequence["_Part"], photo_ids: pa.ChunkedArray) -> None:
        self._parts = list(parts)
        self._photo_ids = photo_ids
        self._starts = np.cumsum([0, *(part.photos for part in parts)]).tolist()

    @classmethod
    def open(cls, folder: str | Path) -> "PhotoShards":
        """The photos in that folder.

        Raises:
            DataError: if it holds no shards, or one is damaged, of another format or out of order.
        """
        paths = sorted(Path(folder).glob("part-*.parquet"))
        if not paths:
            raise DataError(f"{folder} holds no part-*.parquet; `stocktake ingest` makes them")
        parts = [_Part(path) for path in paths]
        columns = [part.table(["photo_id"])["photo_id"] for part in parts]
        photo_ids = pa.chunked_array([chunk for column in columns for chunk in column.chunks])
        schema.check_order(photo_ids.cast(pa.string()))
        return cls(parts, photo_ids)

    def __len__(self) -> int:
        """Photos in all shards."""
        return len(self._photo_ids)

    @property
    def photo_ids(self) -> list[str]:
        """Every id, in rising order."""
        return list(self._photo_ids.to_pylist())

    @cached_property
    def _place(self) -> dict[str, int]:
        """Place of every photo by its id; for a million it takes 150 MB, so not before its time."""
        return {photo_id: i for i, photo_id in enumerate(self.photo_ids)}

    def rows(self, without: Sequence[str] = ("jpeg",)) -> pa.Table:
        """All photos in rising order of id, one row each, without some columns."""
        left = (without,) if isinstance(without, str) else tuple(without)
        columns = [name for name in schema.SCHEMA.names if name not in left]
        return pa.concat_tables([part.table(columns) for part in self._parts])

    def sizes_bytes(self) -> list[int]:
        """Size of every photo file, in rising order of id; reads all photos once."""
        return [size for part in self._parts for size in part.sizes_bytes()]

    def jpegs(self, photo_ids: Sequence[str]) -> list[bytes]:
        """The photo files of these ids, in their order.

        Raises:
            DataError: if an id is not here, or a shard is damaged.
        """
        found: list[bytes] = []
        for photo_id in photo_ids:
            place = self._place.get(photo_id)
            if place is None:
                raise DataError(f"there is no photo '{photo_id}' among {len(self)} in the shards")
            found.append(self.jpeg(place))
        return found

    def jpeg(self, place: int) -> bytes:
        """The photo file in that place of the order of ids, from 0.

        Raises:
            DataError: if its shard is damaged.
        """
        part = bisect_right(self._starts, place) - 1
        return self._parts[part].jpeg(place - self._starts[part])

    def groups(self) -> Iterator[tuple[list[str], Callable[[], list[bytes]]]]:
        """All photos in order, a row group at a time: ids, and a call that reads their files.

        For one pass over everything. The call raises DataError if that group is damaged; the other
        groups can still be read.
        """
        start = 0
        for part in self._parts:
            for size, read in part.groups():
                yield self._photo_ids.slice(start, size).to_pylist(), read
                start += size


class _Part:
    """One shard file; learns where a row group's photos lie when one of them is first asked for."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.RLock()  # locating a group reads photos, under the lock as well
        try:
            # buffering ahead would keep the row group that was read last in memory, one a shard
            self._file = pq.ParquetFile(path, pre_buffer=False, page_checksum_verification=True)
        except (pa.ArrowInvalid, OSError) as err:
            raise DataError(tables.damaged(path, err)) from err
        tables.check_format(path, self._file.schema_arrow, schema.FORMAT)
        meta = self._file.metadata
        self.photos = int(meta.num_rows)
        sizes = [meta.row_group(i).num_rows for i in range(meta.num_row_groups)]
        self._starts = np.cumsum([0, *sizes]).tolist()
        # read, not mapped: mapped pages stay in the process, in the end the whole file
        self._bytes = path.open("rb", buffering=0)
        self._where = np.zeros((self.photos, 2), dtype=np.int64)
        self._located: dict[int, bool] = {}

    def table(self, columns: Sequence[str]) -> pa.Table:
        """Some columns of all rows."""
        with self._lock:
            return self._read(lambda: self._file.read(columns=list(columns)))

    def sizes_bytes(self) -> Iterator[int]:
        """Size of the photo file in every row."""
        for group in range(self._file.metadata.num_row_groups):
            with self._lock:
                column = self._column(group)
            yield from pc.binary_length(column).to_pylist()

    def groups(self) -> Iterator[tuple[int, Callable[[], list[bytes]]]]:
        """Photos in each row group, and a call that reads them as a whole."""
        with self._read(
            lambda: pq.ParquetFile(self._path, page_checksum_verification=True)
        ) as file:
            for group in range(file.metadata.num_row_groups):

                def read(group: int = group) -> list[bytes]:
                    found = self._read(lambda: file.read_row_group(group, columns=["jpeg"]))
                    return list(found["jpeg"].to_pylist())

                yield file.metadata.row_group(group).num_rows, read

    def jpeg(self, row: int) -> bytes:
        """The photo file in that row."""
        group = bisect_right(self._starts, row) - 1
        if group not in self._located:
            with self._lock:
                self._located[group] = self._locate(group)
        if not self._located[group]:  # not ShardWriter's: compressed, or with a dictionary
            with self._lock:
                return bytes(self._column(group)[row - self._starts[group]].as_py())
        start, size = self._where[row]
        return self._read_at(int(start), int(size))

    def _read_at(self, start: int, size: int) -> bytes:
        if hasattr(os, "pread"):  # needs no lock; Windows lacks it
            return os.pread(self._bytes.fileno(), size, start)
        with self._lock:
            self._bytes.seek(start)
            return self._bytes.read(size)

    def _locate(self, group: int) -> bool:
        """Note start and size of each photo of a row group; False if they lie otherwise.

        Plain encoding puts each value behind its size as four bytes, in order; only page headers
        come between. What is found is compared with what the Parquet reader gives.
        """
        place = self._column_place("jpeg")
        chunk = self._file.metadata.row_group(group).column(place)
        first = chunk.data_page_offset
        plain = self._read_at(first, chunk.total_compressed_size)
        values = self._column(group)
        at = 0
        for row, value in enumerate(values, self._starts[group]):
            photo = value.as_py()
            at = plain.find(struct.pack("<I", len(photo)) + photo, at)
            if at < 0:
                return False
            self._where[row] = first + at + 4, len(photo)
            at += 4 + len(photo)
        return True

    def _column(self, group: int) -> pa.ChunkedArray:
        return self._read(lambda: self._file.read_row_group(group, columns=["jpeg"]))["jpeg"]

    def _column_place(self, name: str) -> int:
        row_group = self._file.metadata.row_group(0)
        names = [row_group.column(i).path_in_schema for i in range(row_group.num_columns)]
        return names.index(name)

    def _read(self, read: Any) -> pa.Table:
        try:
            return read()
        except (pa.ArrowInvalid, OSError) as err:
            raise DataError(tables.damaged(self._path, err)) from err


def _leaves(fields: pa.Schema) -> list[str]:
    """Paths of the columns as Parquet names them, as in items.list.element.asin."""
    made: list[str] = []
    for field in fields:
        if pa.types.is_list(field.type):
            item = field.type.value_type
            names = [item.field(i).name for i in range(item.num_fields)]
            made += [f"{field.name}.list.element.{name}" for name in names]
        else:
            made.append(field.name)
    return made
