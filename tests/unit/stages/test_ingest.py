import hashlib
import json
import os
import resource
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pyarrow.parquet as pq
import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import photos as schema
from stocktake.stages import worker
from stocktake.stages.ingest import IngestSettings, outside
from stocktake.store.shards import PhotoShards
from stocktake.store.tables import read_table


def job(bucket, **settings: Any) -> Job:
    output = bucket.folder.parent / "run" / "ingest"
    given = {"source": str(bucket.folder), **settings}
    return Job(stage="ingest", settings=given, inputs={}, output=str(output))


def ingest(bucket, **settings: Any) -> RunFolder:
    return worker.run_job(job(bucket, **settings))


def rejects(run: RunFolder) -> list[dict[str, str]]:
    return read_table(run.artifact("rejects.parquet"), format=schema.REJECTS_FORMAT).to_pylist()


def shards(run: RunFolder) -> PhotoShards:
    return PhotoShards.open(run.artifact("photos"))


def test_every_photo_arrives_as_it_was(bucket):
    for photo_id in ("00001", "00002"):
        bucket.bin(photo_id, A=2, B=1)

    run = ingest(bucket)

    assert shards(run).photo_ids == ["00001", "00002"]
    assert shards(run).jpegs(["00002"]) == [(bucket.folder / "bin-images/00002.jpg").read_bytes()]
    schema.check(shards(run).rows())
    result = run.result()
    assert (result["listed"], result["photos"], result["rejects"], result["left_out"]) == (
        2,
        2,
        0,
        0,
    )
    assert result["photos_by_count"] == {"3": 2}
    assert result["size_bytes"] == sum(shards(run).sizes_bytes())


def test_ids_that_collide_as_numbers_both_stay(bucket):
    bucket.bin("01044", A=3)
    bucket.bin("1044", B=5)

    rows = shards(ingest(bucket)).rows().to_pylist()

    assert [(row["photo_id"], row["count"]) for row in rows] == [("01044", 3), ("1044", 5)]


def test_everything_listed_is_accounted_for(bucket):
    for number in range(1, 9):
        bucket.bin(f"{number:05d}", A=number)
    bucket.photo("00010")  # no metadata
    bucket.record("00011", {"A": 1})  # no photo
    bucket.put("metadata/00002.json", b"[]")
    bucket.put("bin-images/00003.jpg", b"cut")
    bucket.put("bin-images/thumbs.db", b"")

    run = ingest(bucket, counts="1-5")

    result = run.result()
    assert result["listed"] == 11
    assert result["photos"] == 3
    assert result["rejects_by_reason"] == {
        "bad-metadata": 1,
        "bad-name": 1,
        "missing-metadata": 1,
        "missing-photo": 1,
        "unreadable": 1,
    }
    assert result["left_out_by_reason"] == {"other-count": 3}
    assert result["photos"] + result["rejects"] + result["left_out"] == result["listed"]
    assert [row["photo_id"] for row in rejects(run)] == ["", "00002", "00003", "00010", "00011"]
    assert {row["reason"] for row in rejects(run)} <= set(schema.REASONS)
    levels = [line["level"] for line in run.lines()]
    assert levels.count("warning") == 1


def test_sums_that_differ_from_the_count_are_kept(bucket):
    bucket.photo("00001")
    bucket.record("00001", {"A": 4}, count=5)

    (row,) = shards(ingest(bucket)).rows().to_pylist()

    assert (row["count"], row["items"][0]["quantity"]) == (5, 4)


def test_a_limit_takes_the_first_by_id(bucket):
    for number in range(9):
        bucket.bin(f"{number:05d}", A=number % 3)

    run = ingest(bucket, limit=3, counts="1-2")

    assert shards(run).photo_ids == ["00001", "00002", "00004"]
    assert run.result()["left_out_by_reason"] == {"other-count": 2, "beyond-limit": 4}
    assert run.result()["listed"] == 9


def test_a_list_file_names_what_is_taken(bucket, tmp_path):
    for number in range(1, 5):
        bucket.bin(f"{number:05d}", A=number)
    path = tmp_path / "list.json"
    twice = "data/metadata/00001.json"
    names = {"1": [twice], "3": ["data/metadata/00003.json", twice, "data/metadata/00007.json"]}
    path.write_text(json.dumps(names))

    run = ingest(bucket, list_file=str(path))

    assert shards(run).photo_ids == ["00001", "00003"]
    found = [(row["photo_id"], row["reason"]) for row in rejects(run)]
    assert found == [("00001", "listed-twice"), ("00007", "missing-metadata")]
    assert run.result()["listed"] == 4


def test_the_same_source_gives_the_same_bytes_however_it_is_fetched(bucket):
    for number in range(250):
        bucket.bin(f"{number:05d}", A=number % 6)

    found = []
    for in_flight in (1, 16):
        run = ingest(bucket, in_flight=in_flight, photos_per_shard=100)
        files = sorted(run.artifact("photos").iterdir())
        found.append((run.result()["digest"], [path.read_bytes() for path in files]))

    assert found[0] == found[1]
    assert len(found[0][1]) == 3


def test_the_digest_sees_a_changed_photo(bucket):
    bucket.bin("00001", A=1)
    before = ingest(bucket).result()["digest"]
    bucket.photo("00001", shade=91)

    assert ingest(bucket).result()["digest"] != before


def test_a_source_that_stays_is_not_read_again(bucket):
    bucket.bin("00001", A=1)
    first = ingest(bucket).info()["started"]

    assert ingest(bucket).info()["started"] == first


def test_outside_sees_every_change_of_the_source(bucket):
    bucket.bin("00001", A=1)
    settings = IngestSettings(source=str(bucket.folder))
    seen = [outside(settings)]
    bucket.bin("00002", A=1)
    seen.append(outside(settings))
    os.utime(bucket.folder / "metadata" / "00001.json", (1, 1))
    seen.append(outside(settings))

    assert len({*seen}) == 3
    assert outside(settings) == seen[-1]


def test_outside_sees_the_list_file(bucket, tmp_path):
    bucket.bin("00001", A=1)
    path = tmp_path / "list.json"
    settings = IngestSettings(source=str(bucket.folder), list_file=str(path))
    path.write_text('{"1": ["data/metadata/00001.json"]}')
    before = outside(settings)
    path.write_text('{"2": ["data/metadata/00001.json"]}')

    assert outside(settings) != before


def test_no_source_is_told(bucket):
    with pytest.raises(SettingsError, match=r"ingest\.source is not set; name a folder or s3://"):
        ingest(bucket, source="")


def test_a_missing_folder_is_told_with_the_nearest(bucket):
    with pytest.raises(DataError, match="there is no folder .*/bukcet; in .*did you mean 'bucket'"):
        ingest(bucket, source=str(bucket.folder.parent / "bukcet"))


def test_an_empty_folder_says_what_was_looked_for(bucket):
    with pytest.raises(DataError, match=r"has no photos: looked for bin-images/ID\.jpg"):
        ingest(bucket)


def test_counts_that_no_photo_has_are_told(bucket):
    bucket.bin("00001", A=7)

    with pytest.raises(DataError, match="count in '1-5'; its counts are 7 to 7"):
        ingest(bucket, counts="1-5")


def test_a_source_of_broken_photos_is_told_with_the_first(bucket):
    bucket.record("00001", {"A": 1})
    bucket.put("bin-images/00001.jpg", b"broken")

    with pytest.raises(DataError, match=r"none of 1 listed .* bin-images/00001\.jpg: unreadable"):
        ingest(bucket)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"counts": "five"}, r"ingest\.counts must be as in '1-5'"),
        ({"limit": -1}, r"ingest\.limit must be 0 or more, got -1"),
        ({"in_flight": 0}, r"ingest\.in_flight must be 1 to 256, got 0"),
        ({"side_px": 3}, r"ingest\.side_px must be 0 or 16 to 10000, got 3"),
        ({"photos_per_shard": 1}, r"ingest\.photos_per_shard must be 100 to 100000, got 1"),
        ({"squash": True}, r"ingest\.squash needs side_px"),
        ({"sorce": "x"}, "did you mean 'source'"),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(SettingsError, match=told):
        reader.build(IngestSettings, settings, where="ingest")


def test_photos_may_be_shrunk_on_the_way_in(bucket):
    bucket.photo("00001", size=(400, 300))
    bucket.record("00001", {"A": 1})

    (row,) = shards(ingest(bucket, side_px=96)).rows().to_pylist()

    assert (row["width_px"], row["height_px"]) == (128, 96)


def test_photos_may_be_squashed_on_the_way_in(bucket):
    bucket.photo("00001", size=(400, 300))
    bucket.record("00001", {"A": 1})

    (row,) = shards(ingest(bucket, side_px=96, squash=True)).rows().to_pylist()

    assert (row["width_px"], row["height_px"]) == (96, 96)


def test_rows_say_where_they_came_from_and_what_their_bytes_hash_to(bucket):
    bucket.bin("00001", A=1)
    (row,) = shards(ingest(bucket)).rows(without=()).to_pylist()

    assert row["source"] == "bin-images/00001.jpg"
    assert row["sha256"] == hashlib.sha256(row["jpeg"]).hexdigest()


def test_a_name_that_is_not_utf_8_is_a_reject(bucket):
    bucket.bin("00001", A=1)
    (bucket.folder / "bin-images" / os.fsdecode(b"\xff.jpg")).write_bytes(b"x")

    run = ingest(bucket)

    assert run.result()["rejects_by_reason"] == {"bad-name": 1}
    assert rejects(run)[0]["source"] == "bin-images/\\udcff.jpg"


def test_after_none_could_be_taken_the_next_begins_anew(bucket):
    bucket.bin("00001", A=1)
    path = bucket.folder / "bin-images/00001.jpg"
    path.rename(bucket.folder / "away")
    path.symlink_to(bucket.folder / "away2")  # listed, but not there
    with pytest.raises(DataError, match="missing-photo"):
        ingest(bucket)
    path.unlink()
    (bucket.folder / "away").rename(path)

    assert ingest(bucket).result()["photos"] == 1


def test_an_interrupted_ingest_of_another_source_is_not_gone_on_with(bucket):
    many(bucket, 300)
    todo = job(bucket, in_flight=1, photos_per_shard=100)
    process = start(todo)
    while lines_of(Path(todo.output) / "attempt.jsonl") < 8:
        assert process.poll() is None
        time.sleep(0.001)
    process.kill()
    process.wait()
    bucket.photo("00000", shade=33)  # in the first shard
    run = worker.run_job(todo)

    assert shards(run).jpegs(["00000"]) == [(bucket.folder / "bin-images/00000.jpg").read_bytes()]
    assert [line for line in run.lines() if line["message"] == "going on"] == []


def start(todo: Job) -> subprocess.Popen[str]:
    """A worker in a process of its own, as engines start it."""
    command = [sys.executable, "-m", "stocktake.stages.worker", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(worker.to_json(todo))
    process.stdin.close()
    return process


def files(run: RunFolder) -> dict[str, bytes]:
    """Everything that later stages read."""
    root = run.path / "artifacts"
    found = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(found)}


def many(bucket: Any, photos: int) -> None:
    """A bucket in which every tenth photo cannot be taken, for one reason or another."""
    for number in range(photos):
        bucket.bin(f"{number:05d}", A=number % 7)
        if number % 30 == 5:
            bucket.put(f"metadata/{number:05d}.json", b"[]")
        if number % 30 == 15:
            bucket.put(f"bin-images/{number:05d}.jpg", b"cut")
        if number % 30 == 25:
            (bucket.folder / f"metadata/{number:05d}.json").unlink()


def test_a_killed_ingest_leaves_nothing_that_looks_finished_and_goes_on(bucket):
    many(bucket, 400)
    todo = job(bucket, in_flight=1, photos_per_shard=100, counts="0-5")
    run = RunFolder(Path(todo.output))
    process = start(todo)
    shard = run.path / "artifacts" / ".photos.part" / "part-00000.parquet"
    while not shard.exists() and process.poll() is None:
        time.sleep(0.001)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()

    assert run.status == "running"
    assert not (run.path / "artifacts" / "photos").exists()
    worker.run_job(todo)
    (kept,) = (line for line in run.lines() if line["message"] == "going on")
    assert kept["outcomes_kept"] >= 100
    assert sorted(path.name for path in (run.path / "artifacts").iterdir()) == [
        "photos",
        "rejects.parquet",
    ]


def lines_of(path: Path) -> int:
    return path.read_bytes().count(b"\n") if path.exists() else 0


def test_an_ingest_killed_ten_times_ends_as_an_undisturbed_one(bucket, tmp_path):
    many(bucket, 1400)
    seed = int(time.time())
    sys.stdout.write(f"seed {seed}\n")
    random = Random(seed)
    todo = job(bucket, photos_per_shard=150, counts="0-5", in_flight=1)
    calm = worker.run_job(replace(todo, output=str(tmp_path / "calm" / "ingest")))
    run = RunFolder(Path(todo.output))
    journal = run.path / "attempt.jsonl"
    for kill in range(10):
        enough = lines_of(journal) + random.randint(1, 4)
        process = start(todo)
        while lines_of(journal) < enough:
            assert process.poll() is None
            time.sleep(0.001)
        time.sleep(random.uniform(0, 0.02))
        process.kill()
        process.wait()
        assert run.status == "running", f"kill {kill} came too late"
    run = worker.run_job(todo)
    went_on = [line for line in run.lines() if line["message"] == "going on"]

    assert len(went_on) >= 7  # fewer than ten where a kill came before the first line
    assert files(run) == files(calm)
    assert run.result() == calm.result()


def test_a_disk_that_takes_no_more_is_one_clear_line(bucket):
    """A limit on file size stands for the full disk: writing fails half-way in the same place."""
    for number in range(120):
        bucket.bin(f"{number:05d}", A=1)
    todo = job(bucket)

    def only_small_files() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (30_000, 30_000))

    command = [sys.executable, "-m", "stocktake.stages.worker", "-"]
    done = subprocess.run(
        command,
        input=worker.to_json(todo),
        text=True,
        capture_output=True,
        preexec_fn=only_small_files,
    )

    assert done.returncode == 1
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith("error: ")
    run = RunFolder(Path(todo.output))
    assert run.status == "failed"
    assert [path.name for path in (run.path / "artifacts").iterdir()] == [".photos.part"]


@pytest.mark.real
def test_real_photos_all_arrive(real_photos, tmp_path):
    todo = Job(
        stage="ingest",
        settings={"source": str(real_photos)},
        inputs={},
        output=str(tmp_path / "ingest"),
    )

    result = worker.run_job(todo).result()

    assert result["photos"] == len(list((real_photos / "bin-images").glob("*.jpg")))
    assert result["rejects"] == 0
    assert pq.read_table(tmp_path / "ingest/artifacts/photos").num_rows == result["photos"]
