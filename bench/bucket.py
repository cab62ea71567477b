"""A bucket of bins on a real S3 server, for the benches that read one."""

import io
import json
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import obstore
from obstore.store import S3Store
from PIL import Image

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

from weed import KEY, OPEN, SECRET, Server

RECORD = {"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": 3}
PHOTOS = 8
"""Different photos; the bins take them in turn."""


def photos(size: tuple[int, int], quality: int) -> list[bytes]:
    """JPEGs of smooth noise, of that (width_px, height_px)."""
    rng = np.random.default_rng(0)
    made = []
    for _ in range(PHOTOS):
        packed = io.BytesIO()
        smooth = Image.fromarray(rng.integers(0, 256, size=(90, 80, 3)).astype(np.uint8))
        smooth.resize(size, Image.Resampling.BICUBIC).save(packed, "JPEG", quality=quality)
        made.append(packed.getvalue())
    return made


def fill(server: Server, bins: int, jpegs: list[bytes], *, prefix: str = "") -> None:
    """Put that many bins into the open bucket, each with a photo and its metadata."""
    store = S3Store(
        OPEN,
        prefix=prefix,
        endpoint=server.url,
        access_key_id=KEY,
        secret_access_key=SECRET,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    record = json.dumps(RECORD).encode()

    def put(number: int) -> None:
        obstore.put(store, f"bin-images/{number:06d}.jpg", jpegs[number % len(jpegs)])
        obstore.put(store, f"metadata/{number:06d}.json", record)

    with ThreadPoolExecutor(16) as pool:
        for _ in pool.map(put, range(bins)):
            pass


def boto(server: Server, connections: int) -> Any:
    """A boto3 client with that many connections at most."""
    import boto3
    from botocore.config import Config

    return boto3.client(
        "s3",
        endpoint_url=server.url,
        aws_access_key_id=KEY,
        aws_secret_access_key=SECRET,
        region_name="us-east-1",
        config=Config(max_pool_connections=connections),
    )


def with_server(folder: Path, work: Callable[[Server], None]) -> None:
    """Do the work beside a fresh server on the folder."""
    server = Server(folder)
    try:
        server.start()
        server.make_buckets()
        work(server)
    finally:
        server.kill()
