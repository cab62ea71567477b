"""Photos are predicted to the end however often the command is killed with kill -9."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
from bright import grey, write_bundle
from weed import CLOSED, KEY, SECRET, Server

from stocktake.runs.folder import RunFolder
from stocktake.schema import predictions
from stocktake.store.tables import read_table
from stocktake.testing import samples

PHOTOS = 3000


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = samples.finished_run(tmp_path_factory.mktemp("bundle") / "demo" / "export", "export")
    write_bundle(run.artifact("bundle"))
    return run.path


@pytest.fixture(scope="module")
def places(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The same kind of photos as loose files and as an ingest's shards; two files are no photos."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "files" / "bin-images").mkdir(parents=True)
    for number in range(PHOTOS):
        photo = b"no photo" if number % 1499 == 7 else grey(number % 6)
        (folder / "files" / "bin-images" / f"{number:05d}.jpg").write_bytes(photo)
    samples.photos_run(folder / "demo" / "ingest", photos=PHOTOS)
    return {"files": folder / "files", "shards": folder / "demo"}


def start(folder: Path, bundle: Path, source: object, *sets: str) -> "subprocess.Popen[bytes]":
    words = [part for word in ("predict.threads=1", *sets) for part in ("--set", word)]
    command = [sys.executable, "-m", "stocktake", "predict", str(source)]
    return subprocess.Popen(
        [*command, "--bundle", str(bundle), "--name", "demo", *words],
        cwd=folder,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def answered(run: RunFolder) -> int:
    progress = run.how_far() if run.exists() else None
    return progress.done if progress else 0


def worker_of(run: RunFolder) -> int:
    return int(run.info()["pid"])


def kill_after(process: "subprocess.Popen[bytes]", run: RunFolder, photos: int) -> bool:
    """Kill the worker, then the command, once so many photos are answered; False if it is done."""
    while process.poll() is None and answered(run) < photos:
        time.sleep(0.002)
    if process.poll() is not None:
        return False
    os.kill(worker_of(run), signal.SIGKILL)
    process.kill()
    process.wait()
    return True


def keys_of(run: RunFolder) -> list[str]:
    path = run.artifact("predictions.parquet")
    return read_table(path, format=predictions.FORMAT, columns=["source"])["source"].to_pylist()


@pytest.mark.parametrize("kind", ["files", "shards"])
def test_every_photo_has_its_one_row_however_often_the_worker_is_killed(
    bundle, places, tmp_path, kind
):
    for name in ("calm", "killed"):
        (tmp_path / name).mkdir()
    assert start(tmp_path / "calm", bundle, places[kind]).wait() == 0
    calm = RunFolder(tmp_path / "calm/runs/demo/predict")
    run, rng = RunFolder(tmp_path / "killed/runs/demo/predict"), Random(4)
    kills = 0
    for least in (300, 1100, 1900):
        process = start(tmp_path / "killed", bundle, places[kind])
        kills += kill_after(process, run, least + rng.randrange(200))
    assert start(tmp_path / "killed", bundle, places[kind]).wait() == 0

    assert kills >= 2
    assert keys_of(run) == [f"bin-images/{number:05d}.jpg" for number in range(PHOTOS)]
    name = "predictions.parquet"
    assert run.artifact(name).read_bytes() == calm.artifact(name).read_bytes()
    assert not list(run.path.glob("artifacts/.*"))
    kept = [line["answers_kept"] for line in run.lines() if line["message"] == "going on"]
    assert kept == sorted(kept) and kept[-1] >= 1024


def test_a_source_that_changed_between_kill_and_start_is_answered_anew(bundle, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number in range(2000):
        (photos / f"{number:05d}.jpg").write_bytes(grey(number % 6))
    run = RunFolder(tmp_path / "runs/demo/predict")
    assert kill_after(start(tmp_path, bundle, photos), run, 600)
    (photos / "00003.jpg").write_bytes(grey(0))
    (photos / "00004.jpg").unlink()
    assert start(tmp_path, bundle, photos).wait() == 0

    assert (tmp_path / "runs/demo/predict.1").is_dir()
    assert "00004.jpg" not in keys_of(run) and len(keys_of(run)) == 1999
    assert not [line for line in run.lines() if line["message"] == "going on"]


def test_a_bucket_is_predicted_as_the_folder_it_was_filled_from(
    s3_server: Server, bundle, places, tmp_path, monkeypatch
):
    photos = sorted((places["files"] / "bin-images").iterdir())[:40]
    s3_server.put({f"p/bin-images/{p.name}": p.read_bytes() for p in photos}, bucket=CLOSED)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    tables = []
    for source, sets in (
        (f"s3://{CLOSED}/p", [f"predict.endpoint_url={s3_server.url}"]),
        (places["files"], []),
    ):
        folder = tmp_path / str(len(tables))
        folder.mkdir()
        assert start(folder, bundle, source, "predict.limit=40", *sets).wait() == 0
        path = RunFolder(folder / "runs/demo/predict").artifact("predictions.parquet")
        tables.append(read_table(path, format=predictions.FORMAT))

    assert tables[0].num_rows == 40 and tables[0].equals(tables[1])
