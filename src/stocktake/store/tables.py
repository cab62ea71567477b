"""Tables: one Arrow table in one Parquet file that says its own format."""

import os
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

import pyarrow as pa
import pyarrow.parquet as pq

from stocktake.errors import DataError

FORMAT_KEY = b"stocktake.format"
"""Where a Parquet file says its format, in the file's own metadata."""


def write_table(path: Path, table: pa.Table, *, format: str) -> None:
    """Write `table` whole or not at all; a file of that name is replaced.

    Args:
        path: the file; its folder exists.
        table: any Arrow table.
        format: its format's name, as in "split/1".

    Raises:
        OSError: if the disk is full or the folder may not be written; the old file is still there.
    """
    with whole_file(Path(path)) as file:
        pq.write_table(with_format(table, format), file, compression="zstd")


def read_table(
    path: Path,
    *,
    format: str,
    columns: Sequence[str] | None = None,
) -> pa.Table:
    """The table in `path`, or some of its columns.

    Raises:
        DataError: if it is missing, not Parquet, of another format or lacks a column.
    """
    path = Path(path)
    try:
        with pq.ParquetFile(path) as file:
            check_format(path, file.schema_arrow, format)
            if columns is not None:
                _check_columns(path, file.schema_arrow, columns)
            return file.read(columns=None if columns is None else list(columns))
    except FileNotFoundError:
        raise DataError(
            f"{path} is not there, a table of format {format} was expected;"
            " re-run the stage that makes it"
        ) from None
    except (pa.ArrowInvalid, OSError) as err:
        raise DataError(damaged(path, err)) from err


def with_format(table: pa.Table, format: str) -> pa.Table:
    """The same table with its format's name in the schema's metadata."""
    return table.replace_schema_metadata({FORMAT_KEY: format.encode()})


def check_format(path: Path, schema: pa.Schema, format: str) -> None:
    """Raise DataError unless the file's schema says `format`."""
    found = (schema.metadata or {}).get(FORMAT_KEY, b"none").decode("utf-8", "replace")
    if found != format:
        raise DataError(
            f"{path} has format {found}, expected {format}; re-run the stage that makes it"
        )


def damaged(path: Path, err: Exception) -> str:
    """One line for a Parquet file that cannot be read."""
    return f"{path} cannot be read as Parquet ({' '.join(str(err).split())}); make it again"


@contextmanager
def told_where(path: Path) -> Iterator[None]:
    """Let an OSError in the block say which file it was about: a full disk has no name itself."""
    try:
        yield
    except OSError as err:
        if err.filename is None and err.errno is not None:
            raise OSError(err.errno, os.strerror(err.errno), str(path)) from err
        raise


@contextmanager
def whole_file(path: Path) -> Iterator[BinaryIO]:
    """A new file under a name of its own, put in place of `path` when the block ends well."""
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        with told_where(path), part.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _check_columns(path: Path, schema: pa.Schema, columns: Sequence[str]) -> None:
    lacking = [name for name in columns if name not in schema.names]
    if lacking:
        raise DataError(f"{path} has no column '{lacking[0]}', only {', '.join(schema.names)}")
