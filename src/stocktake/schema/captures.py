"""Captures: what a server was asked and what it answered, one row a photo; Parquet files by hour.

Files lie below yyyy/mm/dd/hh/, of the hour, in UTC, in which their rows were answered.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from stocktake.errors import DataError

FORMAT = "capture/1"
FORMAT_KEY = b"stocktake.format"
"""Where a file says its format, as every Parquet file of ours does (`store.tables`)."""

SCHEMA = pa.schema(
    [
        pa.field("captured_at", pa.timestamp("us", tz="UTC"), nullable=False),
        pa.field("event_id", pa.string(), nullable=False),
        pa.field("endpoint", pa.string(), nullable=False),
        pa.field("status", pa.int32(), nullable=False),
        pa.field("content_type", pa.string(), nullable=False),
        pa.field("photo", pa.binary(), nullable=False),
        pa.field("count", pa.int32()),
        pa.field("confidence", pa.float32()),
        pa.field("low", pa.int32()),
        pa.field("high", pa.int32()),
        pa.field("decision", pa.string()),
        pa.field("probabilities", pa.list_(pa.float32())),
        pa.field("bundle", pa.string()),
        pa.field("ms", pa.float32()),
        pa.field("error", pa.string()),
    ],
    metadata={FORMAT_KEY: FORMAT.encode()},
)
"""captured_at is when the answer was given; endpoint is the address that was asked, as in
/v1/count; status is HTTP's; photo holds the bytes as they came, and content_type what the client
said of them; ms is the time the answer took on the server. The others are the answer's own, empty
where it lacks them, as a refusal does; its reason is in error."""

ANSWER = ("count", "confidence", "low", "high", "decision", "probabilities", "bundle", "ms")
"""What is taken over from an answer, beside its error."""


def key_of(captured_at: datetime, event_id: str) -> str:
    """Key of the file whose first row is this event: yyyy/mm/dd/hh/, minute, second and the id.

    Args:
        captured_at: of that row, in UTC.
        event_id: no other server makes the same one.
    """
    return f"{captured_at:%Y/%m/%d/%H/%M%S}-{event_id}.parquet"


def row_of(event: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
    """One row: `event` has what the answer does not say, from captured_at to photo."""
    return {**event, **{name: answer.get(name) for name in (*ANSWER, "error")}}


def table_of(rows: Sequence[Mapping[str, Any]]) -> pa.Table:
    """A table of rows of `row_of`, in their order.

    Raises:
        DataError: if one breaks the format.
    """
    try:
        table = pa.Table.from_pylist(list(rows), schema=SCHEMA)
    except (TypeError, ValueError, OverflowError) as err:  # pyarrow's own are kinds of these
        reason = " ".join(str(err).split())
        raise DataError(f"what was captured does not fit {FORMAT}: {reason}") from err
    check(table)
    return table


def packed(table: pa.Table) -> bytes:
    """The table as one Parquet file: photos as they are, the other columns compressed."""
    plain = [name for name in SCHEMA.names if name not in ("photo", "probabilities")]
    plain.append("probabilities.list.element")
    file = pa.BufferOutputStream()
    pq.write_table(
        table,
        file,
        row_group_size=ROWS_PER_GROUP,
        compression=dict.fromkeys(plain, "zstd") | {"photo": "NONE"},
        use_dictionary=plain,
        write_statistics=plain,
        write_page_checksum=True,
    )
    return bytes(file.getvalue())


ROWS_PER_GROUP = 100
"""As in shards: about 6 MB of photos, read whole by other readers."""


def read(folder: Path, *, columns: Sequence[str] | None = None) -> pa.Table:
    """All rows captured below a folder, in the order of their files' keys.

    Args:
        folder: where the server was told to put them, or a day or an hour below it.
        columns: only these; None for all, the photos among them.

    Raises:
        DataError: if there is none, a file is damaged or of another format, or a row breaks it.
    """
    paths = sorted(path for path in folder.rglob("*.parquet") if not path.name.startswith("."))
    if not paths:
        raise DataError(f"{folder} holds no captured rows, yyyy/mm/dd/hh/*.parquet")
    table = pa.concat_tables([_read(path, columns) for path in paths])
    check(table)
    return table


def check(table: pa.Table) -> None:
    """Hold captured rows, or some columns of them, to the format.

    Raises:
        DataError: if a column is of another type, lacks a value it must have, an event is there
            twice, or low <= count <= high does not hold.
    """
    for field in table.schema:
        place = SCHEMA.get_field_index(field.name)
        if place < 0 or not SCHEMA.field(place).type.equals(field.type):
            raise DataError(f"captured rows have a column {field.name} of {field.type}")
        if not SCHEMA.field(place).nullable and table[field.name].null_count:
            raise DataError(f"captured rows have empty values in '{field.name}'")
    names = set(table.column_names)
    if "event_id" in names and len(pc.unique(table["event_id"])) != len(table):
        raise DataError("captured rows hold an event twice; was a file copied?")
    for low, high in (("low", "count"), ("count", "high")):
        if {low, high} <= names and pc.any(pc.greater(table[low], table[high])).as_py():
            raise DataError(f"captured rows have a {low} above their {high}")


def _read(path: Path, columns: Sequence[str] | None) -> pa.Table:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            found = (file.schema_arrow.metadata or {}).get(FORMAT_KEY, b"none").decode()
            if found != FORMAT:
                raise DataError(f"{path} has format {found}, expected {FORMAT}; move it elsewhere")
            return file.read(columns=None if columns is None else list(columns))
    except (pa.ArrowInvalid, OSError) as err:
        reason = " ".join(str(err).split())
        raise DataError(f"{path} cannot be read as Parquet ({reason}); move it away") from err
