"""A split uploaded to a real S3 server, killed midway: the next call brings the rest, whole."""

import io
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from weed import CLOSED, KEY, SECRET, Server

from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import splits
from stocktake.stages import worker
from stocktake.store.tables import read_table

PHOTOS = 300
FOLDER_OF = {"train": "train", "val": "valid", "calib": "calib", "test": "test"}


@pytest.fixture(autouse=True)
def credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Bins whose photos all differ and have 1 to 40 kB."""
    folder = tmp_path_factory.mktemp("bins")
    rng = np.random.default_rng(3)
    for number in range(PHOTOS):
        height, width = rng.integers(20, 200, size=2)
        packed = io.BytesIO()
        pixels = rng.integers(0, 256, size=(height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(packed, "JPEG", quality=80)
        item = {"asin": f"A{number}", "quantity": number % 6}
        record = {"BIN_FCSKU_DATA": {f"A{number}": item}, "EXPECTED_QUANTITY": number % 6}
        for key, data in {
            f"bin-images/{number:05d}.jpg": packed.getvalue(),
            f"metadata/{number:05d}.json": json.dumps(record).encode(),
        }.items():
            path = folder / key
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(data)
    return folder


@pytest.fixture(scope="module")
def photos(bins: Path, tmp_path_factory: pytest.TempPathFactory) -> str:
    output = str(tmp_path_factory.mktemp("photos") / "ingest")
    job = Job(stage="ingest", settings={"source": str(bins)}, inputs={}, output=output)
    return str(worker.run_job(job).path)


@pytest.fixture
def job_of(photos: str, s3_server: Server, tmp_path: Path) -> Callable[..., Job]:
    def make(prefix: str, **settings: Any) -> Job:
        given = {"upload": f"s3://{CLOSED}/{prefix}", "endpoint_url": s3_server.url}
        output = str(tmp_path / "run" / "split")
        inputs = {"photos": photos}
        return Job(stage="split", settings=given | settings, inputs=inputs, output=output)

    return make


def listed(server: Server, prefix: str) -> dict[str, Any]:
    """When every object below the prefix was written."""
    pages = server.client().get_paginator("list_objects_v2")
    found = pages.paginate(Bucket=CLOSED, Prefix=f"{prefix}/")
    return {one["Key"]: one["LastModified"] for page in found for one in page.get("Contents", [])}


def wanted(run: RunFolder, bins: Path, prefix: str) -> dict[str, bytes]:
    """Every object that shall lie there."""
    rows = read_table(run.artifact("split.parquet"), format=splits.FORMAT).to_pylist()
    return {
        f"{prefix}/{FOLDER_OF[row['fold']]}/{row['count']}/{row['photo_id']}.jpg": (
            bins / f"bin-images/{row['photo_id']}.jpg"
        ).read_bytes()
        for row in rows
    }


def there(server: Server, prefix: str) -> dict[str, bytes]:
    """Every object that lies there, as another library reads it."""
    client = server.client()
    return {
        key: client.get_object(Bucket=CLOSED, Key=key)["Body"].read()
        for key in listed(server, prefix)
    }


def found_of(run: RunFolder) -> list[int]:
    return [line["found"] for line in run.lines() if line["message"] == "uploaded"]


def killed_after(todo: Job, server: Server, prefix: str, more: int) -> dict[str, Any]:
    """Start an upload, kill it when so many objects came; what lies there then."""
    enough = len(listed(server, prefix)) + more
    # with less right to the processor than we who watch, lest it ends between two looks
    command = ["nice", "-n", "19", sys.executable, "-m", "stocktake.stages.worker", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(worker.to_json(todo))
    process.stdin.close()
    while len(listed(server, prefix)) < enough:
        assert process.poll() is None
        time.sleep(0.005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    return listed(server, prefix)


def test_a_killed_upload_goes_on_and_ends_whole(s3_server, bins, job_of):
    todo = job_of("killed", in_flight=1)
    for _ in range(4):
        before = killed_after(todo, s3_server, "killed", 30)
        assert len(before) < PHOTOS
    run = worker.run_job(todo)
    after = listed(s3_server, "killed")

    assert run.info()["attempts"] == 5 and run.result()["uploaded"] == PHOTOS
    assert there(s3_server, "killed") == wanted(run, bins, "killed")
    assert found_of(run) == [len(before)]
    assert {key: after[key] for key in before} == before
    worker.run_job(todo)
    assert found_of(run) == [len(before)] and listed(s3_server, "killed") == after


def test_the_command_uploads_a_finished_split_once(s3_server, bins, job_of, tmp_path, photos):
    todo = job_of("later", seed=2)
    run = worker.run_job(replace(todo, settings={"seed": 2}))
    mark = run.fingerprint
    sets = [f"split.{key}={value}" for key, value in todo.settings.items()]
    words = ["--name", "run", "--photos", photos, "--set", f"folder={tmp_path}"]
    flags = [part for word in sets for part in ("--set", word)]
    for attempts in (2, 2):
        command = [sys.executable, "-m", "stocktake", "split", *words, *flags]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)

        assert done.returncode == 0, done.stderr
        assert (run.info()["attempts"], run.fingerprint) == (attempts, mark)
    assert there(s3_server, "later") == wanted(run, bins, "later")
