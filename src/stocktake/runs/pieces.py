"""Pieces: a run's table that grows piece by piece, so that a killed run goes on where it was.

Each piece is a Parquet file, whole before it is noted in a journal (pieces/1, JSON lines) with its
size and hash; when all are there, they are joined in their order.
"""

import json
import shutil
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from stocktake.runs import journal
from stocktake.store import tables
from stocktake.store.hashed import HashedFile
from stocktake.store.kept import WholeShard, is_sound, note
from stocktake.store.shards import part_of

FORMAT = "pieces/1"
JOINED_AT_ONCE = 64
"""Pieces in one row group of the joined table: few groups, and few pieces in memory."""


class Pieces:
    """One table in pieces, from where an earlier attempt was interrupted, or from the start.

    Args:
        path: the table's file; it appears when the pieces are joined.
        journal: the file that notes them; one that is not `of` the same is written anew.
        format: format of the table, as in "prediction/2".
        of: what the rows are made from; rows made from anything else are thrown away.
    """

    def __init__(self, path: Path, journal: Path, *, format: str, of: str) -> None:
        self._path = path
        self._folder = part_of(path)
        self._journal = journal
        self._format = format
        self._whole: list[WholeShard] = []
        self.joined: WholeShard | None = None
        """The whole table, once it is."""
        self._resume({"format": FORMAT, "of": of})

    @property
    def rows(self) -> int:
        """Rows in whole pieces so far."""
        return self.joined.photos if self.joined else sum(one.photos for one in self._whole)

    def add(self, rows: pa.Table, *, last_id: str) -> None:
        """Write the next piece; on return it is on the disk.

        Args:
            rows: its rows.
            last_id: what the last of them is of; for people who read the journal.

        Raises:
            OSError: if the disk is full; the pieces before stay.
        """
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / f"part-{len(self._whole):05d}.parquet"
        tables.write_table(path, rows, format=self._format)
        self._whole.append(note(path, photos=len(rows), last_id=last_id))
        journal.append(self._journal, {"piece": asdict(self._whole[-1])})

    def join(self) -> WholeShard:
        """The whole table, one file made of all pieces; then the pieces are gone.

        Raises:
            DataError: if a piece was damaged since it was written.
            OSError: if the disk is full; the pieces stay.
        """
        if self.joined is None:
            with closing(HashedFile(self._folder / ".growing")) as file:
                with tables.told_where(self._path):
                    self._write_into(file)
                    file.sync()
                file.path.replace(self._path)
            photos, last_id = self.rows, self._whole[-1].last_id
            sha256 = file.sha256()
            self.joined = note(self._path, photos=photos, last_id=last_id, sha256=sha256)
            journal.append(self._journal, {"joined": asdict(self.joined)})
        shutil.rmtree(self._folder, ignore_errors=True)
        return self.joined

    def _write_into(self, file: HashedFile) -> None:
        groups = self._groups()
        first = next(groups)
        with pq.ParquetWriter(file, first.schema, compression="zstd") as writer:
            writer.write_table(first)
            for group in groups:
                writer.write_table(group)

    def _groups(self) -> Iterator[pa.Table]:
        for start in range(0, len(self._whole), JOINED_AT_ONCE):
            names = [one.name for one in self._whole[start : start + JOINED_AT_ONCE]]
            yield pa.concat_tables(
                [tables.read_table(self._folder / name, format=self._format) for name in names]
            ).combine_chunks()

    def _resume(self, head: dict[str, Any]) -> None:
        """Read the journal as far as it can be trusted, and clear away the rest."""
        found = _read(self._journal)
        trusted = [head]
        for row in found[1:] if found[:1] == [head] else ():
            if "joined" in row:
                continue
            if not is_sound(self._folder, WholeShard(**row["piece"]), format=self._format):
                break
            self._whole.append(WholeShard(**row["piece"]))
            trusted.append(row)
        if found[:1] == [head] and "joined" in found[-1]:
            joined = WholeShard(**found[-1]["joined"])
            if is_sound(self._path.parent, joined, format=self._format):
                self.joined, trusted = joined, found
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in trusted)
        journal.write_whole(self._journal, "".join(lines))
        names = {one.name for one in self._whole}
        for path in self._folder.iterdir() if self._folder.exists() else ():
            if path.name not in names:
                path.unlink()


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; none if it is no journal."""
    try:
        return list(journal.read_lines(path))
    except (OSError, ValueError):
        return []
