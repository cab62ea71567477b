"""A bucket ingested from a real S3 server that stumbles: what arrives is whole, or has a reason."""

import io
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from faults import FaultProxy
from PIL import Image
from weed import OPEN, Server

from stocktake.data import retry
from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import photos as schema
from stocktake.stages import worker
from stocktake.store import s3
from stocktake.store.tables import read_table

BINS = 240
RATES = {"error": 0.05, "cut": 0.05, "short": 0.05, "tag": 0.05}


def objects() -> dict[str, bytes]:
    """Bins whose photos differ and have 2 to 60 kB; some that cannot be taken."""
    rng = np.random.default_rng(7)
    made = {}
    for number in range(BINS):
        height, width = rng.integers(40, 220, size=2)
        packed = io.BytesIO()
        pixels = rng.integers(0, 256, size=(height, width, 3)).astype(np.uint8)
        Image.fromarray(pixels).save(packed, "JPEG", quality=80)
        item = {"asin": f"A{number}", "name": f"thing {number}", "quantity": number % 8}
        record = {"BIN_FCSKU_DATA": {item["asin"]: item}, "EXPECTED_QUANTITY": number % 8}
        made[f"bin-images/{number:05d}.jpg"] = packed.getvalue()
        made[f"metadata/{number:05d}.json"] = json.dumps(record).encode()
    made["metadata/00020.json"] = b"{}"
    made["bin-images/00030.jpg"] = b""
    made["bin-images/notes.txt"] = b"not a photo"
    del made["bin-images/00040.jpg"]
    return made


@pytest.fixture(scope="module")
def bins(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The bucket as a folder."""
    folder = tmp_path_factory.mktemp("bins")
    for key, data in objects().items():
        path = folder / key
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    return folder


def fill(server: Server, prefix: str) -> None:
    client = server.client()

    def put(item: tuple[str, bytes]) -> None:
        client.put_object(Bucket=OPEN, Key=f"{prefix}/{item[0]}", Body=item[1])

    with ThreadPoolExecutor(8) as pool:
        list(pool.map(put, objects().items()))


@pytest.fixture(scope="module")
def filled(s3_server: Server) -> Server:
    fill(s3_server, "bins")
    return s3_server


def files(run: RunFolder) -> dict[str, bytes]:
    """Everything that later stages read."""
    root = run.path / "artifacts"
    found = [path for path in root.rglob("*") if path.is_file()]
    return {str(path.relative_to(root)): path.read_bytes() for path in sorted(found)}


@pytest.fixture(scope="module")
def calm(bins: Path, tmp_path_factory: pytest.TempPathFactory) -> RunFolder:
    """The same bins ingested from the folder, undisturbed."""
    output = str(tmp_path_factory.mktemp("calm") / "ingest")
    settings = {"source": str(bins), "counts": "0-6", "photos_per_shard": 100}
    return worker.run_job(Job(stage="ingest", settings=settings, inputs={}, output=output))


@pytest.fixture
def job_of(tmp_path: Path) -> Callable[..., Job]:
    def make(url: str, **settings: Any) -> Job:
        given = {
            "source": f"s3://{OPEN}/bins",
            "endpoint_url": url,
            "anonymous": True,
            "counts": "0-6",
            "photos_per_shard": 100,
        }
        output = str(tmp_path / "run" / "ingest")
        return Job(stage="ingest", settings=given | settings, inputs={}, output=output)

    return make


@pytest.fixture
def short_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3, "RETRIES", 1)
    monkeypatch.setattr(retry, "AWAY_S", 1.0)
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.02)


def test_what_arrives_through_faults_is_the_same(filled, calm, job_of):
    with FaultProxy(filled.url, rates=RATES, listings={1: "error", 3: "cut"}, seed=11) as proxy:
        run = worker.run_job(job_of(proxy.url))

        assert min(proxy.met[kind] for kind in RATES) > 5
    assert files(run) == files(calm)
    assert run.result() == calm.result()


def test_what_fails_for_good_is_a_reject_and_the_rest_arrives(filled, calm, job_of, short_patience):
    always = {
        "00003.jpg": "short",
        "00004.jpg": "tag",
        "00005.jpg": "cut",
        "00006.json": "error",
        "00008.json": "short",
    }
    with FaultProxy(filled.url, always=always) as proxy:
        run = worker.run_job(job_of(proxy.url, in_flight=4))
    rows = read_table(run.artifact("rejects.parquet"), format=schema.REJECTS_FORMAT).to_pylist()
    reasons = {row["source"]: row["reason"] for row in rows}

    assert reasons == {
        "bin-images/00003.jpg": "damaged",
        "bin-images/00004.jpg": "damaged",
        "bin-images/00005.jpg": "unanswered",
        "metadata/00006.json": "unanswered",
        "metadata/00008.json": "damaged",
        "metadata/00020.json": "bad-metadata",
        "bin-images/00030.jpg": "unreadable",
        "metadata/00040.json": "missing-photo",
        "bin-images/notes.txt": "bad-name",
    }
    assert set(reasons.values()) <= set(schema.REASONS)
    assert run.result()["photos"] == calm.result()["photos"] - 5
    warned = [line["message"] for line in run.lines() if line["level"] == "warning"]
    assert warned[1:] == [
        "5 of them (damaged or unanswered) may be had another time; a finished ingest asks for"
        f" nothing again, so move {run.path} aside and ingest once more"
    ]


def test_a_server_that_is_away_for_two_seconds_is_waited_for(filled, calm, job_of, monkeypatch):
    monkeypatch.setattr(s3, "RETRIES", 1)
    with FaultProxy(filled.url) as proxy:
        proxy.away_after = 150

        def come_back() -> None:
            proxy.away.wait()
            time.sleep(2)
            proxy.away.clear()

        threading.Thread(target=come_back).start()
        run = worker.run_job(job_of(proxy.url))

    assert files(run) == files(calm)


def test_a_server_that_stays_away_ends_it_in_one_line_and_the_next_goes_on(
    filled, calm, job_of, short_patience
):
    with FaultProxy(filled.url) as proxy:
        todo = job_of(proxy.url, in_flight=4)
        proxy.away_after = 400
        with pytest.raises(DataError, match=r"no answer for 1 s, run it again later") as told:
            worker.run_job(todo)
        assert "\n" not in str(told.value)
        assert RunFolder(Path(todo.output)).status == "failed"
        proxy.away.clear()
        proxy.asked.clear()
        run = worker.run_job(todo)

        assert proxy.asked.total() < 2 * BINS - 200
    assert files(run) == files(calm)


def test_a_finished_ingest_costs_a_listing_and_changes_nothing(filled, calm, job_of):
    with FaultProxy(filled.url) as proxy:
        todo = job_of(proxy.url)
        run = worker.run_job(todo)
        before = {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()}
        proxy.asked.clear()
        worker.run_job(todo)

        assert proxy.asked.total() == 0
    assert {p: p.stat().st_mtime_ns for p in run.path.rglob("*") if p.is_file()} == before


@pytest.mark.parametrize("is_taken_up", [False, True])
def test_an_ingest_lists_its_source_once(filled, job_of, short_patience, is_taken_up):
    """A bucket's listing may take minutes."""
    with FaultProxy(filled.url) as proxy:
        todo = job_of(proxy.url, in_flight=4)
        if is_taken_up:
            proxy.away_after = 200
            with pytest.raises(DataError, match="run it again later"):
                worker.run_job(todo)
            proxy.away.clear()
            proxy.pages = 0
        worker.run_job(todo)

        assert proxy.pages == 2, "one page of each folder"


def test_a_list_file_is_ingested_without_a_listing(filled, job_of, tmp_path):
    """Nothing was listed, so the answers' own size and tag are what arrives is held to."""
    names = [f"data/metadata/{number:05d}.json" for number in range(60)]
    (tmp_path / "list.json").write_text(json.dumps({"1": names}))
    todo = job_of(filled.url, list_file=str(tmp_path / "list.json"), counts="")
    calm = worker.run_job(replace(todo, output=str(tmp_path / "calm" / "ingest")))
    with FaultProxy(filled.url, rates=RATES, seed=5) as proxy:
        run = worker.run_job(replace(todo, settings=todo.settings | {"endpoint_url": proxy.url}))

        assert (proxy.pages, min(proxy.met.values()) > 0) == (0, True)
    assert files(run) == files(calm)


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"source": "s3://no-such-bucket/bins"}, "NoSuchBucket|AccessDenied"),
        ({"source": "s3://closed/bins"}, "AccessDenied"),
        ({"source": f"s3://{OPEN}/nothing"}, "has no photos: looked for bin-images/ID"),
    ],
)
@pytest.mark.parametrize("by_list", [False, True])
def test_a_bucket_that_gives_nothing_is_one_line(filled, job_of, tmp_path, change, told, by_list):
    if by_list:
        (tmp_path / "list.json").write_text('{"1": ["data/metadata/00001.json"]}')
        change = change | {"list_file": str(tmp_path / "list.json")}
        told += "|none of 1 listed .*missing-metadata"

    with pytest.raises(DataError, match=told) as found:
        worker.run_job(job_of(filled.url, **change))
    assert "\n" not in str(found.value)


def start(todo: Job) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "stocktake.stages.worker", "-"]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, text=True)
    assert process.stdin is not None
    process.stdin.write(worker.to_json(todo))
    process.stdin.close()
    return process


def noted(todo: Job) -> int:
    journal = Path(todo.output) / "attempt.jsonl"
    return journal.read_bytes().count(b"\n") if journal.exists() else 0


def test_killed_through_faults_it_ends_the_same(filled, calm, job_of):
    with FaultProxy(filled.url, rates=RATES, seed=2) as proxy:
        todo = job_of(proxy.url, in_flight=4)
        for _ in range(3):
            enough = noted(todo) + 2
            process = start(todo)
            while noted(todo) < enough:
                assert process.poll() is None
                time.sleep(0.005)
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
        run = worker.run_job(todo)

    assert files(run) == files(calm)
    assert run.result() == calm.result()


@pytest.mark.slow
def test_the_server_is_killed_and_restarted_while_ingesting(calm, job_of, tmp_path):
    pytest.importorskip("boto3")
    server = Server(tmp_path / "server")
    try:
        server.start()
        server.make_buckets()
        fill(server, "bins")
        todo = job_of(server.url, in_flight=1)
        process = start(todo)
        while noted(todo) < 4:
            assert process.poll() is None
            time.sleep(0.005)
        server.kill()
        server.start()
        assert process.wait(timeout=120) == 0
    finally:
        server.kill()
    run = RunFolder.open(todo.output)

    assert run.info()["attempts"] == 1
    assert files(run) == files(calm)
