"""Files of a record: their names and columns, and reading them, also while they grow.

A part is `part-NUMBER-wRANK.parquet`; numbers rise, and go on where an earlier run of the folder
stopped, so that what a resumed run tells anew is read last and stands. `end.json`, for another rank
than 0 `end-wRANK.json`, says how the training ended.
"""

import json
import logging
import os
import re
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stocktake.debugger.errors import RecordError
from stocktake.debugger.records import MODES, Record, Row

FORMAT = "debug/1"
FORMAT_KEY = b"stocktake.format"
SCHEMA = pa.schema(
    [
        ("step", pa.int64()),
        ("mode", pa.string()),
        ("worker", pa.int32()),
        ("name", pa.string()),
        ("collection", pa.string()),
        ("kind", pa.string()),
        ("statistic", pa.string()),
        ("value", pa.float64()),
        ("values", pa.list_(pa.float64())),
        ("shape", pa.list_(pa.int32())),
        ("time", pa.float64()),
    ],
    metadata={FORMAT_KEY: FORMAT.encode()},
)
log = logging.getLogger("stocktake.debugger")
_PART = re.compile(r"part-(\d+)-w(\d+)\.parquet")


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Rows as they lie on disk."""
    rows = list(rows)
    columns = {name: [getattr(row, name) for row in rows] for name in SCHEMA.names}
    return pa.table(columns, schema=SCHEMA)


def rows_of(table: pa.Table) -> list[Row]:
    """The rows of a part.

    Raises:
        RecordError: if it lacks a column, or has a mode that there is not.
    """
    lacking = [name for name in SCHEMA.names if name not in table.column_names]
    if lacking:
        raise RecordError(f"has no column '{lacking[0]}'")
    columns = {name: table.column(name).to_pylist() for name in SCHEMA.names}
    strange = set(columns["mode"]) - set(MODES)
    if strange:
        raise RecordError(f"has mode '{min(strange)}', expected {', '.join(MODES)}")
    columns["values"] = [tuple(one or ()) for one in columns["values"]]
    columns["shape"] = [tuple(one or ()) for one in columns["shape"]]
    names = list(columns)
    return [
        Row(**dict(zip(names, one, strict=True))) for one in zip(*columns.values(), strict=True)
    ]


def end_name(worker: int) -> str:
    """The file in which a rank says how it ended."""
    return "end.json" if worker == 0 else f"end-w{worker}.json"


def parts_among(names: Iterable[str]) -> list[tuple[int, int, str]]:
    """Number, rank and name of the parts among these names, in the order they were written."""
    found = [(match, name) for name in names if (match := _PART.fullmatch(name))]
    return sorted((int(match[1]), int(match[2]), name) for match, name in found)


@dataclass(frozen=True, kw_only=True, slots=True)
class Place:
    """Where a record lies: a folder, or any store that can list and read."""

    address: str
    """As people write it."""
    names: Callable[[], Iterable[str]]
    """Names of the files below the place, with '/' between parts; raises OSError if it cannot."""
    read: Callable[[str], bytes]
    """A file's bytes, whole; raises OSError if it cannot."""


def place_of(folder: Path | str | Place) -> Place:
    """A folder on this machine as a place; a place as it is."""
    if isinstance(folder, Place):
        return folder
    root = Path(folder)

    def names() -> Iterator[str]:
        for here, _, files in os.walk(root):
            for name in files:
                yield (Path(here) / name).relative_to(root).as_posix()

    return Place(address=str(root), names=names, read=lambda name: (root / name).read_bytes())


class Reader:
    """Reads a record as it grows: each part once."""

    def __init__(
        self,
        folder: Path | str | Place,
        *,
        collections: Collection[str] | None = None,
        statistics: Collection[str] | None = None,
    ) -> None:
        """Nothing is read yet.

        Args:
            folder: where the record lies, or will.
            collections: read rows of these only; all if None.
            statistics: read rows of these only; all if None.
        """
        self.place = place_of(folder)
        self.damaged: dict[str, str] = {}
        """One line for each file that could not be read; it is tried again at the next call."""
        self.end: dict[str, Any] | None = None
        """What the training said when it ended; None while it goes on."""
        self.is_whole = False
        """Every rank that wrote a part has said that it ended."""
        self._wanted = {"collection": collections, "statistic": statistics}
        self._done: set[str] = set()

    def new(self) -> list[Row]:
        """Rows of the parts that came since the last call, in the order they were written.

        Raises:
            RecordError: if the place cannot be listed.
        """
        try:
            names = list(self.place.names())
        except OSError as err:
            raise RecordError(f"{self.place.address} cannot be listed ({err})") from None
        self._read_ends(names)
        rows: list[Row] = []
        for _, _, name in parts_among(names):
            if name in self._done:
                continue
            try:
                rows += self._part(name)
            except (OSError, pa.ArrowException, RecordError) as err:
                why = err.strerror if isinstance(err, OSError) and err.strerror else err
                line = " ".join(f"{self.place.address}/{name}: {why}".split())
                self.damaged[name] = f"{line[:300]}; left out"
                continue
            self.damaged.pop(name, None)
            self._done.add(name)
        return rows

    @property
    def is_empty(self) -> bool:
        """There was neither a part nor an end."""
        return not self._done and not self.damaged and self.end is None

    def _part(self, name: str) -> list[Row]:
        table = pq.read_table(pa.BufferReader(self.place.read(name)))
        found = (table.schema.metadata or {}).get(FORMAT_KEY, b"none").decode("utf-8", "replace")
        if found != FORMAT:
            raise RecordError(f"has format {found}, expected {FORMAT}")
        for column, wanted in self._wanted.items():
            if wanted is not None and column in table.column_names:
                table = table.filter(pc.is_in(table.column(column), pa.array(sorted(wanted))))
        return rows_of(table)

    def _read_ends(self, names: list[str]) -> None:
        """Read how it ended, before the parts: what an end tells of is written by then."""
        self.end = None
        if "end.json" not in names:
            return
        ranks = {worker for _, worker, _ in parts_among(names)} - {0}
        self.is_whole = all(end_name(worker) in names for worker in ranks)
        try:
            end = json.loads(self.place.read("end.json"))
            if not isinstance(end, dict):
                raise ValueError
            self.end = end
            self.damaged.pop("end.json", None)
        except (OSError, ValueError):
            self.damaged["end.json"] = f"{self.place.address}/end.json is not JSON; left out"


def read(
    folder: Path | str | Place,
    *,
    collections: Collection[str] | None = None,
    statistics: Collection[str] | None = None,
) -> Record:
    """A record as it is now; files that cannot be read are named in the log and left out.

    Raises:
        RecordError: if there is none.
    """
    reader = Reader(folder, collections=collections, statistics=statistics)
    record = Record(reader.new())
    if reader.is_empty:
        raise RecordError(
            f"{reader.place.address} holds no record, only the debugger's parts"
            " (part-000001-w0.parquet) make one; name the folder that a Recorder was given"
        )
    for line in reader.damaged.values():
        log.warning("%s", line)
    return record


def follow(
    folder: Path | str | Place,
    *,
    timeout_s: float | None = None,
    poll_s: float = 1.0,
    grace_s: float = 5.0,
) -> Iterator[list[Row]]:
    """New rows of a record, as they come, until the training ends.

    Args:
        folder: need not be there yet.
        timeout_s: give up when nothing new has come for so long; never if None.
        poll_s: seconds between looks.
        grace_s: how long other ranks may write on after rank 0 has ended.
    """
    reader = Reader(folder)
    last, ended = time.monotonic(), None
    while True:
        if rows := reader.new():
            last = time.monotonic()
            yield rows
        now = time.monotonic()
        ended = (ended or now) if reader.end is not None else None
        if ended is not None and (reader.is_whole or now - ended >= grace_s):
            if rows := reader.new():  # a listing may miss a part that came while it was made
                yield rows
            break
        if timeout_s is not None and now - last >= timeout_s:
            break
        time.sleep(poll_s)
    for line in reader.damaged.values():
        log.warning("%s", line)
