import subprocess
import sys

import pyarrow as pa
import pytest

from stocktake.schema import photos as schema
from stocktake.store.columns import table_of

ITEMS = [
    {"asin": "A1", "name": "thé", "quantity": 2, "height_in": 0.1, "weight_lb": 1e-9},
    {"asin": "A2", "name": None, "quantity": 3},
]
ROWS = [
    {
        "photo_id": f"{number:05d}",
        "jpeg": bytes(range(number)),
        "width_px": number,
        "height_px": 2**31 - 1,
        "count": 5,
        "items": ITEMS[: number % 3],
        "source": "é/\U0001f4e6.jpg",
        "sha256": "",
        "more": "left out",
    }
    for number in range(20)
]


@pytest.mark.parametrize("photos", [0, 1, 20])
def test_the_table_is_the_one_that_arrow_makes(photos):
    made = table_of(ROWS[:photos], schema.SCHEMA)

    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist(ROWS[:photos], schema=schema.SCHEMA))


def test_empty_values_stay_empty_at_every_depth():
    kind = pa.schema(
        [
            ("words", pa.list_(pa.string())),
            ("number", pa.int64()),
            ("bytes", pa.binary()),
            ("pair", pa.struct([("a", pa.float32()), ("b", pa.list_(pa.int32()))])),
        ]
    )
    rows = [
        {"words": ["a", None, ""], "number": None, "bytes": None, "pair": None},
        {"words": None, "number": 2**40, "bytes": b"", "pair": {"a": None, "b": [1, None]}},
        {},
        {"words": [], "pair": {"b": None}},
    ]
    made = table_of(rows, kind)

    made.validate(full=True)
    assert made.equals(pa.Table.from_pylist(rows, schema=kind))


@pytest.mark.parametrize(
    "change",
    [
        {"count": "many"},
        {"count": 2**31},
        {"count": None},
        {"photo_id": 1},
        {"photo_id": "\udcff"},
        {"jpeg": "text"},
        {"jpeg": 5},
    ],
)
def test_a_value_of_another_type_is_refused(change):
    with pytest.raises((ValueError, TypeError, OverflowError)):
        table_of([ROWS[3] | change], schema.SCHEMA)


def test_a_type_that_it_does_not_know_is_refused():
    with pytest.raises(TypeError, match="columns of date32"):
        table_of([{"day": 3}], pa.schema([("day", pa.date32())]))


def test_pandas_is_not_imported():
    pytest.importorskip("pandas")
    code = (
        "import sys, pyarrow as pa; from stocktake.store.columns import table_of;"
        "table_of([{'word': 'a'}], pa.schema([('word', pa.string())]));"
        "assert 'pandas' not in sys.modules"
    )

    subprocess.run([sys.executable, "-c", code], check=True)
