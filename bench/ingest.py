"""How fast objects come from an S3 server: ours beside boto3, in alternation, on one machine.

Claim: at least 5 times boto3 one by one, no slower than boto3 with a pool of threads.
The server is SeaweedFS on the same machine, without latency: over a network the gap to one by one
grows. What is compared is fetching (metadata and photo of every bin); the whole ingest, with its
checks and shards, is told beside it.
"""

import argparse
import io
import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from weed import OPEN, Server

from stocktake.data.listing import list_all
from stocktake.data.retry import PatientReader
from stocktake.runs.job import Job
from stocktake.stages import worker
from stocktake.store.s3 import S3Store

THREADS = 16


def fill(server: Server, bins: int) -> list[str]:
    """Keys of that many bins' objects, put on the server; photos have about 60 kB."""
    rng = np.random.default_rng(0)
    photos = []
    for _ in range(8):
        packed = io.BytesIO()
        smooth = Image.fromarray(rng.integers(0, 256, size=(90, 80, 3)).astype(np.uint8))
        smooth.resize((480, 540), Image.Resampling.BICUBIC).save(packed, "JPEG", quality=90)
        photos.append(packed.getvalue())
    record = {"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": 3}
    objects = {}
    for number in range(bins):
        objects[f"bin-images/{number:05d}.jpg"] = photos[number % len(photos)]
        objects[f"metadata/{number:05d}.json"] = json.dumps(record).encode()
    client = server.client()
    with ThreadPoolExecutor(THREADS) as pool:
        list(
            pool.map(lambda i: client.put_object(Bucket=OPEN, Key=i[0], Body=i[1]), objects.items())
        )
    return list(objects)


def sides(server: Server, keys: list[str]) -> dict[str, Callable[[], int]]:
    """What is compared: each gives the bytes that it fetched."""
    from botocore.config import Config

    boto = server.client()
    pooled = _pooled(server, Config(max_pool_connections=THREADS))

    def one(client: Any, key: str) -> int:
        return len(client.get_object(Bucket=OPEN, Key=key)["Body"].read())

    def one_by_one() -> int:
        return sum(one(boto, key) for key in keys)

    def in_threads() -> int:
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(pool.map(lambda key: one(pooled, key), keys))

    def ours() -> int:
        store = S3Store(OPEN, endpoint_url=server.url, anonymous=True)
        listed = [e for photo in list_all(store).photos for e in (photo.photo, photo.metadata) if e]
        reader = PatientReader(store)
        with ThreadPoolExecutor(THREADS) as pool:
            return sum(len(d) for d in pool.map(lambda e: reader.read(e.key, listed=e), listed))

    def whole() -> int:
        settings = {"source": f"s3://{OPEN}", "endpoint_url": server.url, "anonymous": True}
        with tempfile.TemporaryDirectory() as folder:
            job = Job(stage="ingest", settings=settings, inputs={}, output=f"{folder}/run/ingest")
            return int(worker.run_job(job).result()["size_bytes"])

    return {
        "boto3, one by one": one_by_one,
        f"boto3, {THREADS} threads": in_threads,
        "ours: listed, fetched, sizes and tags checked": ours,
        "ours: the whole ingest, decoded, in shards": whole,
    }


def _pooled(server: Server, config: Any) -> Any:
    import boto3
    from weed import KEY, SECRET

    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=config,
    )


def main() -> None:
    """Alternate the sides and print the median and the range of each."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bins", type=int, default=1000, help="bins, of two objects each")
    parser.add_argument("--rounds", type=int, default=5, help="times each side is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        server = Server(Path(folder))
        try:
            server.start()
            server.make_buckets()
            keys = fill(server, given.bins)
            compared = sides(server, keys)
            times: dict[str, list[float]] = {name: [] for name in compared}
            for turn in range(given.rounds + 1):
                for name, fetch in compared.items():
                    started = time.perf_counter()
                    assert fetch() > 0
                    if turn:  # the first round warms the server
                        times[name].append(time.perf_counter() - started)
        finally:
            server.kill()
    first = statistics.median(next(iter(times.values())))
    print(f"{len(keys)} objects, {given.rounds} rounds in alternation, server on this machine\n")
    print("| client | objects/s | median s | min s | max s | times the first |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, found in times.items():
        middle = statistics.median(found)
        print(
            f"| {name} | {len(keys) / middle:.0f} | {middle:.2f} | {min(found):.2f}"
            f" | {max(found):.2f} | {first / middle:.1f} |"
        )


if __name__ == "__main__":
    main()
