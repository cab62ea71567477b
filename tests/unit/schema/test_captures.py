from datetime import UTC, datetime, timedelta
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stocktake.errors import DataError
from stocktake.schema import captures
from stocktake.store import tables

AT = datetime(2026, 11, 25, 23, 59, 58, 250, tzinfo=UTC)
ANSWER = {
    "count": 4,
    "confidence": 0.5,
    "low": 3,
    "high": 5,
    "coverage": 0.9,
    "decision": "review",
    "probabilities": [0.0, 0.0, 0.1, 0.3, 0.5, 0.1],
    "bundle": "b",
    "ms": 12.5,
}


def row(number: int = 0, answer: dict | None = None, **change: object) -> dict:
    event = {
        "captured_at": AT + timedelta(seconds=number),
        "event_id": f"e{number}",
        "endpoint": "/v1/count",
        "status": 200,
        "content_type": "image/jpeg",
        "photo": bytes([number] * 10),
    }
    return captures.row_of(event | change, ANSWER if answer is None else answer)


def put(folder: Path, *rows: dict) -> Path:
    path = folder / captures.key_of(rows[0]["captured_at"], rows[0]["event_id"])
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(captures.packed(captures.table_of(rows)))
    return path


def test_what_was_written_is_read_in_the_order_of_hours(tmp_path):
    put(tmp_path, row(5), row(6))
    put(tmp_path, row(0), row(1, {"error": "cut short"}, status=422))
    found = captures.read(tmp_path)

    assert found["event_id"].to_pylist() == ["e0", "e1", "e5", "e6"]
    assert found["captured_at"][0].as_py() == AT
    assert found["photo"][3].as_py() == bytes([6] * 10)
    assert found["probabilities"][0].as_py() == pytest.approx(ANSWER["probabilities"])
    assert found["count"].to_pylist() == [4, None, 4, 4]
    assert found["error"].to_pylist() == [None, "cut short", None, None]


def test_files_lie_by_hour_of_their_first_row(tmp_path):
    path = put(tmp_path, row())

    assert path.relative_to(tmp_path).as_posix() == "2026/11/25/23/5958-e0.parquet"
    assert captures.read(tmp_path / "2026" / "11" / "25").num_rows == 1


def test_columns_can_be_read_without_the_photos(tmp_path):
    put(tmp_path, row())

    assert captures.read(tmp_path, columns=["event_id", "count"]).column_names == [
        "event_id",
        "count",
    ]


def test_a_file_says_its_format_as_all_tables_do(tmp_path):
    path = put(tmp_path, row())

    assert captures.FORMAT_KEY == tables.FORMAT_KEY
    assert tables.read_table(path, format=captures.FORMAT).num_rows == 1


def test_photos_are_kept_as_they_are_and_can_be_found_without_unpacking(tmp_path):
    group = pq.ParquetFile(put(tmp_path, row(3))).metadata.row_group(0)
    kinds = {group.column(i).path_in_schema: group.column(i).compression for i in range(15)}

    assert kinds["photo"] == "UNCOMPRESSED" and kinds["event_id"] == "ZSTD"


@pytest.mark.parametrize("harm", ["cut", "other", "none"])
def test_a_file_that_is_not_ours_is_one_line_that_names_it(tmp_path, harm):
    path = put(tmp_path, row())
    if harm == "cut":
        path.write_bytes(path.read_bytes()[:-20])
    else:
        table = pa.table({"event_id": ["e"]})
        pq.write_table(tables.with_format(table, "split/1") if harm == "other" else table, path)

    with pytest.raises(DataError) as caught:
        captures.read(tmp_path)

    assert path.name in str(caught.value) and "\n" not in str(caught.value)


def test_a_folder_without_captured_rows_says_so(tmp_path):
    with pytest.raises(DataError, match="holds no captured rows"):
        captures.read(tmp_path)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"photo": None}, "photo"),
        ({"status": "fine"}, "does not fit"),
        ({"status": 2**40}, "does not fit"),
        ({"event_id": "e1"}, "twice"),
    ],
)
def test_rows_that_break_the_format_are_refused(change, told):
    with pytest.raises(DataError, match=told):
        captures.table_of([row(1), row(0, **change)])


@pytest.mark.parametrize("change", [{"low": 5}, {"high": 3}])
def test_an_interval_beside_its_count_is_refused(change):
    with pytest.raises(DataError, match="above their"):
        captures.table_of([row(0, ANSWER | change)])
