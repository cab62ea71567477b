import json
import logging
import shutil
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from stocktake.debugger import writer as writing
from stocktake.debugger.errors import RecordError
from stocktake.debugger.files import Reader, read, table_of
from stocktake.debugger.records import Row
from stocktake.debugger.writer import Writer

HERE = str(Path(__file__).parent)


def put(writer, *steps):
    rows = [
        Row(step=s, mode="train", name="loss", collection="losses", statistic="value", value=s)
        for s in steps
    ]
    writer.put(lambda: table_of(rows), rows=len(rows))


def until(is_so, timeout_s=20):
    end = time.monotonic() + timeout_s
    while not is_so():
        assert time.monotonic() < end, "it did not come to be"
        time.sleep(0.005)


def end_of(folder, worker=0):
    name = "end.json" if worker == 0 else f"end-w{worker}.json"
    return json.loads((folder / name).read_text())


def test_the_first_part_is_there_at_once_and_what_follows_is_gathered(tmp_path):
    writer = Writer(tmp_path, flush_s=60)
    put(writer, 0)
    until(lambda: list(tmp_path.glob("part-*")))
    for step in range(1, 50):
        put(writer, step)
    writer.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "end.json",
        "part-000001-w0.parquet",
        "part-000002-w0.parquet",
    ]
    assert read(tmp_path).steps("train") == list(range(50))


def test_putting_never_waits_for_the_disk(tmp_path):
    writer = Writer(tmp_path)
    gate = threading.Event()

    def slow():
        gate.wait(20)
        return table_of([])

    writer.put(slow, rows=0)
    put(writer, 1)
    gate.set()
    writer.close()

    assert read(tmp_path).steps("train") == [1]


def test_the_end_says_how_it_went(tmp_path):
    writer = Writer(tmp_path)
    put(writer, 0, 1)
    writer.close("failed", "ValueError: no", steps={"train": 2})
    writer.close("done")

    end = end_of(tmp_path)
    assert end["format"] == "debug/1"
    assert (end["status"], end["error"], end["steps"]) == ("failed", "ValueError: no", {"train": 2})
    assert (end["rows"], end["lost_rows"], end["problem"]) == (2, 0, "")


def test_a_run_that_goes_on_takes_the_end_away_and_counts_parts_on(tmp_path):
    (tmp_path / ".part-000007-w0.parquet.0f0f.tmp").write_bytes(b"left by a kill")
    for step in (0, 1):
        writer = Writer(tmp_path)
        assert not (tmp_path / "end.json").exists()
        put(writer, step)
        writer.close()

    assert sorted(path.name for path in tmp_path.iterdir()) == [
        "end.json",
        "part-000001-w0.parquet",
        "part-000002-w0.parquet",
    ]


def test_two_writers_of_one_rank_do_not_overwrite_each_other(tmp_path):
    first, second = Writer(tmp_path), Writer(tmp_path)
    put(first, 0)
    put(second, 1)
    first.close()
    second.close()

    assert read(tmp_path).steps("train") == [0, 1]


def test_rows_wait_while_the_folder_cannot_be_written_and_it_is_said_once(tmp_path, caplog):
    folder = tmp_path / "debug"
    writer = Writer(folder, flush_s=0.01)
    shutil.rmtree(folder)

    with caplog.at_level(logging.WARNING, "stocktake.debugger"):
        put(writer, 0)
        until(lambda: writer.problem)
        put(writer, 1)
        until(lambda: writer._failures > 1)
        folder.mkdir()
        put(writer, 2)
        writer.close()

    assert read(folder).steps("train") == [0, 1, 2]
    assert len(caplog.messages) == 1
    assert "debug" in end_of(folder)["problem"]
    assert end_of(folder)["lost_rows"] == 0


def test_a_full_disk_hurts_nobody_and_its_losses_are_counted(tmp_path):
    """A limit on file size is the nearest to a full disk that needs no rights."""
    code = f"""
import resource, sys
sys.path.insert(0, {HERE!r})
resource.setrlimit(resource.RLIMIT_FSIZE, (600, 600))
from test_writer import Writer, put
writer = Writer({str(tmp_path)!r}, flush_s=0.01)
for step in range(5):
    put(writer, step)
writer.close()
print("training went on")
"""
    done = subprocess.run(
        [sys.executable, "-B", "-c", code], capture_output=True, text=True, check=True
    )

    assert done.stdout == "training went on\n"
    assert done.stderr.count("cannot record") == 1
    assert end_of(tmp_path)["lost_rows"] == 5
    assert sorted(path.name for path in tmp_path.iterdir()) == ["end.json"]


def test_more_than_may_wait_is_left_out_and_counted(tmp_path, monkeypatch):
    monkeypatch.setattr(writing, "MAX_WAITING", 10)
    writer = Writer(tmp_path, flush_s=60)
    put(writer, 0)
    until(lambda: writer.written_rows == 1)
    for step in range(1, 31):
        put(writer, step)
    writer.close()

    assert end_of(tmp_path)["rows"] == 11
    assert end_of(tmp_path)["lost_rows"] == 20


def test_a_table_that_cannot_be_made_is_counted_and_the_others_are_written(tmp_path, caplog):
    def fail():
        raise RuntimeError("CUDA error: device-side assert triggered\nmore")

    writer = Writer(tmp_path)
    writer.put(fail, rows=7)
    put(writer, 1)
    writer.close()

    assert read(tmp_path).steps("train") == [1]
    assert end_of(tmp_path)["lost_rows"] == 7
    assert "device-side assert" in end_of(tmp_path)["problem"]
    assert "\n" not in end_of(tmp_path)["problem"]


def test_in_a_long_run_parts_become_fewer(tmp_path):
    writer = Writer(tmp_path)
    pauses = []
    for parts in (0, 100, 1000, 100_000):
        writer._parts = parts
        pauses.append(writer._pause_s())
    writer.close()

    assert pauses == [1.0, 1.0, 10.0, 30.0]


@pytest.mark.parametrize(
    ("last_words", "status", "error"),
    [("", "done", ""), ("raise ValueError('loss is\\nnan')", "failed", "ValueError: loss is nan")],
)
def test_a_process_that_ends_without_closing_still_writes_its_end(
    tmp_path, last_words, status, error
):
    code = f"""
import sys
sys.path.insert(0, {HERE!r})
from test_writer import Writer, put
writer = Writer({str(tmp_path)!r}, flush_s=60)
put(writer, 0)
put(writer, 1)
{last_words}
"""
    subprocess.run([sys.executable, "-c", code], capture_output=True)

    assert read(tmp_path).steps("train") == [0, 1]
    assert (end_of(tmp_path)["status"], end_of(tmp_path)["error"]) == (status, error)


def test_a_forked_child_does_not_write_the_parents_end(tmp_path):
    code = f"""
import os, sys
from stocktake.debugger.writer import Writer
writer = Writer({str(tmp_path)!r})
if os.fork() == 0:
    sys.exit()
os.wait()
print(os.path.exists({str(tmp_path / "end.json")!r}))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)

    assert done.stdout == "False\n"


def test_a_folder_that_cannot_be_made_is_one_line(tmp_path):
    (tmp_path / "file").write_text("")

    with pytest.raises(RecordError, match="cannot be written.*name another folder"):
        Writer(tmp_path / "file" / "debug")


def test_ranks_share_a_folder(tmp_path):
    writers = [Writer(tmp_path, worker=worker) for worker in (0, 1)]
    for writer in writers:
        put(writer, 3)
        writer.close()

    reader = Reader(tmp_path)
    assert len(reader.new()) == 2
    assert reader.is_whole
    assert end_of(tmp_path, 1)["rows"] == 1
