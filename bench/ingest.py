"""How fast bins come from an S3 server: ours beside boto3 and the aws command line, in alternation.

Claim: the ingest is at least 5 times boto3 one by one, and no slower than the best of the others.
Two kinds of work are compared, each with its own first line: listing and fetching the bytes of
every object; and the ingest, which also decodes every photo whole and keeps it on disk, beside
scripts that do the same with boto3 and Pillow.
The server is SeaweedFS on the same machine and takes its share of the cores; there is no latency,
so over a network the gap to one by one grows. Client CPU is the client's alone.
"""

import argparse
import io
import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bucket import boto, fill, photos, with_server
from PIL import Image
from weed import KEY, OPEN, SECRET, Server

from stocktake.data.listing import list_all
from stocktake.data.retry import PatientReader
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.store.s3 import S3Store

THREADS = 16
FETCH, WHOLE = "list and fetch", "ingest: fetch, decode whole, keep"


@dataclass
class Side:
    """One way to do a kind of work: takes a fresh folder, returns the photos' bytes."""

    kind: str
    name: str
    work: Callable[[Path], int]
    wall_s: list[float] = field(default_factory=list)
    cpu_s: list[float] = field(default_factory=list)

    def measure(self) -> None:
        """Do the work once more."""
        os.sync()  # what the side before left to write is not this one's to wait for
        with tempfile.TemporaryDirectory() as folder:
            wall_s, cpu_s = time.perf_counter(), _cpu_s()
            assert self.work(Path(folder)) > 0
            self.wall_s.append(time.perf_counter() - wall_s)
            self.cpu_s.append(_cpu_s() - cpu_s)


def _cpu_s() -> float:
    """CPU seconds of this process and of the processes it waited for."""
    both = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return sum(usage.ru_utime + usage.ru_stime for usage in both)


def scripts(server: Server) -> list[Side]:
    """What people write with boto3."""
    single, pooled = boto(server, 1), boto(server, THREADS)

    def keys(client: Any) -> Iterator[str]:
        for page in client.get_paginator("list_objects_v2").paginate(Bucket=OPEN):
            yield from (found["Key"] for found in page["Contents"])

    def get(client: Any, key: str) -> bytes:
        return bytes(client.get_object(Bucket=OPEN, Key=key)["Body"].read())

    def keep(client: Any, key: str, folder: Path) -> int:
        data = get(client, key)
        if key.endswith(".json"):
            assert json.loads(data)["EXPECTED_QUANTITY"] >= 0
        else:
            Image.open(io.BytesIO(data)).load()
        (folder / key.replace("/", "-")).write_bytes(data)
        return len(data)

    def pool(client: Any, one: Callable[[str], int]) -> int:
        with ThreadPoolExecutor(THREADS) as threads:
            return sum(threads.map(one, keys(client)))

    return [
        Side(
            FETCH, "boto3, one by one", lambda _: sum(len(get(single, key)) for key in keys(single))
        ),
        Side(
            FETCH,
            f"boto3, {THREADS} threads",
            lambda _: pool(pooled, lambda key: len(get(pooled, key))),
        ),
        Side(
            WHOLE,
            "boto3 and Pillow, one by one",
            lambda folder: sum(keep(single, key, folder) for key in keys(single)),
        ),
        Side(
            WHOLE,
            f"boto3 and Pillow, {THREADS} threads",
            lambda folder: pool(pooled, lambda key: keep(pooled, key, folder)),
        ),
    ]


def commands(server: Server, aws: Path) -> list[Side]:
    """The aws command line, start and all; it writes what it fetches into a folder."""
    env = {
        **os.environ,
        "AWS_ACCESS_KEY_ID": KEY,
        "AWS_SECRET_ACCESS_KEY": SECRET,
        "AWS_DEFAULT_REGION": "us-east-1",
    }

    def fetch(*words: str) -> Callable[[Path], int]:
        def run(folder: Path) -> int:
            address = [f"s3://{OPEN}", str(folder)]
            more = ["--only-show-errors", "--endpoint-url", server.url]
            subprocess.run([aws, "s3", *words, *address, *more], env=env, check=True)
            return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

        return run

    return [
        Side(FETCH, "aws s3 cp --recursive, to disk", fetch("cp", "--recursive")),
        Side(FETCH, "aws s3 sync, to disk", fetch("sync")),
    ]


def ours(server: Server, bytecode: Path) -> list[Side]:
    """Ours, in this process and as the command that people type, with compiled modules."""
    env = {**os.environ, "PYTHONPYCACHEPREFIX": str(bytecode)}
    env.pop("PYTHONDONTWRITEBYTECODE", None)
    settings = {"source": f"s3://{OPEN}", "endpoint_url": server.url, "anonymous": True}

    def fetch(_: Path) -> int:
        store = S3Store(OPEN, endpoint_url=server.url, anonymous=True)
        listed = [e for photo in list_all(store).photos for e in (photo.photo, photo.metadata) if e]
        reader = PatientReader(store)
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(len(d) for d in pool.map(lambda e: reader.read(e.key, listed=e), listed))

    def whole(folder: Path) -> int:
        job = Job(stage="ingest", settings=settings, inputs={}, output=f"{folder}/run/ingest")
        return int(worker.run_job(job).result()["size_bytes"])

    def command(folder: Path) -> int:
        (folder / "run.toml").write_text(
            f'[ingest]\nsource = "s3://{OPEN}"\nendpoint_url = "{server.url}"\nanonymous = true\n'
        )
        words = [sys.executable, "-m", "stocktake", "ingest", "run.toml", "--json"]
        done = subprocess.run(words, cwd=folder, env=env, capture_output=True, check=True)
        return int(json.loads(done.stdout)["size_bytes"])

    return [
        Side(FETCH, "ours: sizes and tags checked as well", fetch),
        Side(WHOLE, "ours: the ingest, into shards", whole),
        Side(WHOLE, "ours: `stocktake ingest`, start and all", command),
    ]


def aws_program(folder: Path, given: str) -> Path:
    """The aws command line: the one given, or its package in an environment of its own."""
    if given:
        return Path(given)
    subprocess.run([sys.executable, "-m", "venv", folder / "aws"], check=True)
    pip = [folder / "aws/bin/python", "-m", "pip", "install", "--quiet", "awscli"]
    subprocess.run(pip, check=True, stderr=subprocess.DEVNULL)
    return folder / "aws/bin/aws"


def tell(sides: list[Side], objects: int) -> None:
    """Print a table for each kind of work."""
    for kind in (FETCH, WHOLE):
        found = [side for side in sides if side.kind == kind]
        first = statistics.median(found[0].wall_s)
        print(f"\n| {kind} | objects/s | median s (least to most) | times the first", end="")
        print(" | client CPU ms an object |\n|---|--:|--:|--:|--:|")
        for side in found:
            middle, cpu_s = statistics.median(side.wall_s), statistics.median(side.cpu_s)
            print(
                f"| {side.name} | {objects / middle:,.0f} | {middle:.2f} ({min(side.wall_s):.2f}"
                f" to {max(side.wall_s):.2f}) | {first / middle:.1f}"
                f" | {1000 * cpu_s / objects:.2f} |"
            )


def start_s(aws: Path) -> float:
    """Median seconds of `aws --version`."""
    times = []
    for _ in range(5):
        started = time.perf_counter()
        subprocess.run([aws, "--version"], check=True, capture_output=True)
        times.append(time.perf_counter() - started)
    return statistics.median(times)


def main() -> None:
    """Alternate the sides and print medians and ranges."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bins", type=int, default=1000, help="bins, of two objects each")
    parser.add_argument("--rounds", type=int, default=5, help="times each side is measured")
    parser.add_argument("--aws", default=shutil.which("aws") or "", help="the aws command line")
    given = parser.parse_args()
    jpegs = photos((480, 540), 72)

    def work(server: Server) -> None:
        fill(server, given.bins, jpegs)
        aws = aws_program(folder, given.aws)
        sides = [*scripts(server), *commands(server, aws), *ours(server, folder / "bytecode")]
        for side in sides:  # warms the server, and imports what is imported late
            side.measure()
            side.wall_s.clear(), side.cpu_s.clear()
        for _ in range(given.rounds):
            for side in sides:
                side.measure()
        size_kb = sum(map(len, jpegs)) / len(jpegs) / 1000
        print(
            f"{2 * given.bins} objects of {given.bins} bins, photos of {size_kb:.0f} kB;"
            f" {given.rounds} rounds in alternation; server on this machine;"
            f" `aws --version` alone takes {start_s(aws):.2f} s"
        )
        tell(sides, 2 * given.bins)

    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        with_server(folder / "server", work)


if __name__ == "__main__":
    main()
