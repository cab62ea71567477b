"""Photos: one row per bin photo with its bytes, its true count and the items on record.

Rejects: one row per listed photo that was not taken, with the reason.
"""

import pyarrow as pa
import pyarrow.compute as pc

from stocktake.errors import DataError

FORMAT = "photos/1"
REJECTS_FORMAT = "rejects/1"

ITEM = pa.struct(
    [
        ("asin", pa.string()),
        ("name", pa.string()),
        ("quantity", pa.int32()),
        ("height_in", pa.float32()),
        ("length_in", pa.float32()),
        ("width_in", pa.float32()),
        ("weight_lb", pa.float32()),
    ]
)
"""One product in a bin; name, sizes and weight may be empty."""

SCHEMA = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("jpeg", pa.binary(), nullable=False),
        pa.field("width_px", pa.int32(), nullable=False),
        pa.field("height_px", pa.int32(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
        pa.field("items", pa.list_(ITEM), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("sha256", pa.string(), nullable=False),
    ]
)
"""photo_id is text (`01044` and `1044` are two photos); count is EXPECTED_QUANTITY; source is the
key it came from; sha256 is of the bytes in `jpeg`."""

REJECTS = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("source", pa.string(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        pa.field("detail", pa.string(), nullable=False),
    ]
)
"""reason is one of REASONS; detail is a sentence for people."""

REASONS = (
    "bad-metadata",
    "bad-name",
    "damaged",
    "listed-twice",
    "missing-metadata",
    "missing-photo",
    "refused",
    "unanswered",
    "unreadable",
)


def check(table: pa.Table) -> None:
    """Hold a table of photos, whole or without some columns, to its format.

    Raises:
        DataError: if a column is unknown or of another type, a photo_id is missing, not in rising
            order or there twice, or a count is negative.
    """
    if "photo_id" not in table.column_names:
        raise DataError("photos have no column 'photo_id'; ingest again")
    for field in table.schema:
        place = SCHEMA.get_field_index(field.name)
        if place < 0 or not field.type.equals(SCHEMA.field(place).type):
            raise DataError(f"photos have a column {field.name} of {field.type}; ingest again")
        if table[field.name].null_count:
            raise DataError(f"photos have empty values in '{field.name}'; ingest again")
    check_order(table["photo_id"])
    if "count" in table.column_names and len(table) and pc.min(table["count"]).as_py() < 0:
        raise DataError(f"photos have a count of {pc.min(table['count'])}, expected 0 or more")


def check_order(photo_ids: pa.ChunkedArray) -> None:
    """Raise DataError unless the ids rise strictly, so that each is there once."""
    ids = photo_ids.combine_chunks()
    if len(ids) < 2:
        return
    falls = pc.less_equal(ids[1:], ids[:-1])
    place = pc.index(falls, True).as_py()
    if place >= 0:
        raise DataError(
            f"photo ids must rise, each there once; '{ids[place + 1]}' follows '{ids[place]}';"
            " ingest again"
        )
