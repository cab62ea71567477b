import json
import logging
import shutil
import threading

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stocktake.debugger.errors import RecordError
from stocktake.debugger.files import (
    SCHEMA,
    Place,
    Reader,
    follow,
    place_of,
    read,
    rows_of,
    table_of,
)
from stocktake.debugger.records import Row
from stocktake.debugger.writer import Writer


def row(step, value=0.0, **more):
    about = {"mode": "train", "name": "loss", "collection": "losses", "statistic": "value"}
    return Row(step=step, value=value, **(about | more))


def written(folder, *parts, worker=0, is_ended=True):
    """One part for each list of rows."""
    for rows in parts:
        writer = Writer(folder, worker=worker)
        writer.put(lambda rows=rows: table_of(rows), rows=len(rows))
        writer.close()
    if not is_ended:
        (folder / "end.json").unlink()
    return folder


def test_rows_come_back_as_they_were(tmp_path):
    rows = [
        row(0, 1.5, time=3.25),
        row(7, mode="eval", worker=2, kind="ReLU", values=(1.0, 2.0), shape=(1, 2)),
    ]

    assert str(rows_of(table_of(rows))) == str(rows)
    assert rows_of(pq.read_table(written(tmp_path, rows) / "part-000001-w0.parquet"))[0] == rows[0]


def test_parts_are_parquet_that_any_reader_knows(tmp_path):
    path = written(tmp_path, [row(0, 1.0)]) / "part-000001-w0.parquet"

    assert pq.read_schema(path).equals(SCHEMA)
    assert pq.read_schema(path).metadata[b"stocktake.format"] == b"debug/1"


def test_what_a_resumed_run_told_anew_stands(tmp_path):
    written(tmp_path, [row(0, 1.0), row(1, 2.0), row(2, 3.0)], [row(1, 5.0)])

    values = [one.value for one in read(tmp_path).series("loss").rows]

    assert values == [1.0, 5.0, 3.0]


def test_more_than_nine_parts_are_read_in_the_order_of_their_numbers(tmp_path):
    written(tmp_path, *[[row(0, float(n))] for n in range(12)])

    assert read(tmp_path).series("loss").rows[0].value == 11.0


def test_only_some_collections_and_statistics_can_be_read(tmp_path):
    written(
        tmp_path,
        [row(0), row(0, name="w", collection="weights", statistic="mean")],
        [row(0, name="w", collection="weights", statistic="std")],
    )

    assert read(tmp_path, collections=["weights"]).collections() == ["weights"]
    assert not read(tmp_path, statistics={"mean"}).series("w", "std").rows


@pytest.mark.parametrize("damage", ["cut", "garbage", "empty", "other format", "column", "mode"])
def test_a_damaged_part_is_named_in_one_line_and_left_out(tmp_path, caplog, damage):
    written(tmp_path, [row(0, 1.0)], [row(1, 2.0)])
    part = tmp_path / "part-000001-w0.parquet"
    table = pq.read_table(part)
    if damage == "cut":
        part.write_bytes(part.read_bytes()[:-20])
    elif damage in ("garbage", "empty"):
        part.write_bytes(b"not parquet at all" if damage == "garbage" else b"")
    elif damage == "other format":
        pq.write_table(table.replace_schema_metadata({b"stocktake.format": b"photos/1"}), part)
    elif damage == "column":
        pq.write_table(table.drop_columns(["step"]), part)
    else:
        place = table.column_names.index("mode")
        pq.write_table(table.set_column(place, "mode", pa.array(["dream"])), part)

    with caplog.at_level(logging.WARNING, "stocktake.debugger"):
        record = read(tmp_path)

    assert record.steps("train") == [1]
    assert len(caplog.messages) == 1
    assert "part-000001-w0.parquet" in caplog.messages[0]
    assert "left out" in caplog.messages[0]
    assert "\n" not in caplog.messages[0]


def test_a_damaged_end_is_named_and_the_rows_are_still_read(tmp_path):
    written(tmp_path, [row(0)])
    (tmp_path / "end.json").write_text("{")
    reader = Reader(tmp_path)

    assert len(reader.new()) == 1
    assert reader.end is None
    assert "end.json is not JSON" in reader.damaged["end.json"]


@pytest.mark.parametrize("is_there", [True, False])
def test_a_folder_without_a_record_says_so(tmp_path, is_there):
    folder = tmp_path if is_there else tmp_path / "nowhere"

    with pytest.raises(RecordError, match="holds no record"):
        read(folder)


def test_a_reader_reads_each_part_once_and_a_cut_one_again(tmp_path):
    written(tmp_path, [row(0)], is_ended=False)
    reader = Reader(tmp_path)
    assert [one.step for one in reader.new()] == [0]
    assert reader.new() == []
    written(tmp_path, [row(1)])
    part = tmp_path / "part-000002-w0.parquet"
    whole = part.read_bytes()
    part.write_bytes(whole[:50])
    assert reader.new() == []
    assert "part-000002-w0.parquet" in reader.damaged
    part.write_bytes(whole)

    assert [one.step for one in reader.new()] == [1]
    assert reader.damaged == {}
    assert reader.end["status"] == "done"


def test_following_gives_rows_as_they_come_and_stops_at_the_end(tmp_path):
    folder = tmp_path / "later"
    seen = []
    done = threading.Event()

    def watch():
        for rows in follow(folder, poll_s=0.01):
            seen.append([one.step for one in rows])
            done.set()

    thread = threading.Thread(target=watch)
    thread.start()
    writer = Writer(folder, flush_s=0.01)
    writer.put(lambda: table_of([row(0)]), rows=1)
    assert done.wait(20)
    writer.put(lambda: table_of([row(1)]), rows=1)
    writer.close()
    thread.join(20)

    assert not thread.is_alive()
    assert [step for steps in seen for step in steps] == [0, 1]
    assert seen[0] == [0]


def test_following_waits_for_the_other_ranks(tmp_path):
    written(tmp_path, [row(0, worker=1)], worker=1)
    (tmp_path / "end-w1.json").unlink()
    written(tmp_path, [row(0)])
    rest = follow(tmp_path, poll_s=0.01, grace_s=60)
    assert len(next(rest)) == 2

    written(tmp_path, [row(1, worker=1)], worker=1)

    assert [one.step for rows in rest for one in rows] == [1]


def test_following_a_training_that_does_not_end_gives_up_in_time(tmp_path):
    written(tmp_path, [row(0)], is_ended=False)

    assert [len(rows) for rows in follow(tmp_path, timeout_s=0.05, poll_s=0.01)] == [1]


def test_a_record_is_read_from_any_store_that_can_list_and_read(tmp_path):
    written(tmp_path, [row(0, 4.0)])
    objects = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    place = Place(address="s3://bucket/run", names=lambda: objects, read=objects.__getitem__)

    assert read(place).series("loss").rows[0].value == 4.0
    assert place_of(place) is place


def test_a_store_that_cannot_be_listed_is_one_line(tmp_path):
    def fail():
        raise PermissionError("access denied")

    with pytest.raises(RecordError, match="s3://bucket cannot be listed.*access denied"):
        read(Place(address="s3://bucket", names=fail, read=lambda name: b""))


def test_what_is_not_a_part_does_not_matter(tmp_path):
    written(tmp_path, [row(0)])
    shutil.copy(tmp_path / "part-000001-w0.parquet", tmp_path / "copy of part-000001-w0.parquet")
    (tmp_path / ".part-000009-w0.parquet.tmp").write_bytes(b"PAR1")
    (tmp_path / "notes").mkdir()

    reader = Reader(tmp_path)

    assert len(reader.new()) == 1
    assert reader.damaged == {}
    assert json.loads((tmp_path / "end.json").read_text())["rows"] == 1
