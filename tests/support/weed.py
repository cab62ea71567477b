"""A real S3 server for tests: SeaweedFS from its package, on a folder of its own."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

KEY, SECRET = "STOCKTAKEKEY", "stocktake-secret"
OPEN, CLOSED = "open", "closed"
"""Two buckets: one that anybody reads, one for KEY and SECRET only."""


def program() -> str | None:
    """The server's binary, or None where its package is not installed."""
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


class Server:
    """One server; `start` it, `kill` it as a power cut would, `start` it again on what is there."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._ports = free_ports(4)
        self._process: subprocess.Popen[bytes] | None = None
        self.url = f"http://127.0.0.1:{self._ports[3]}"
        (folder / "data").mkdir(parents=True)
        who = [
            {
                "name": "us",
                "credentials": [{"accessKey": KEY, "secretKey": SECRET}],
                "actions": ["Admin", "Read", "Write", "List"],
            },
            {"name": "anonymous", "actions": [f"Read:{OPEN}", f"List:{OPEN}"]},
        ]
        (folder / "s3.json").write_text(json.dumps({"identities": who}))

    def start(self) -> None:
        """Start it and wait until it answers; a fresh one takes about 3 s."""
        found = program()
        assert found is not None
        master, volume, filer, s3 = self._ports
        place = self._folder / "data"
        command = [
            *(found, "server", f"-dir={place}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"),
            *(f"-master.port={master}", f"-volume.port={volume}", "-filer"),
            *(f"-filer.port={filer}", "-s3", f"-s3.port={s3}"),
            *(f"-s3.config={self._folder / 's3.json'}", "-s3.port.iceberg=0", "-s3.port.lance=0"),
            *("-master.telemetry=false", "-master.volumeSizeLimitMB=64", "-volume.max=20"),
        ]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        self._wait()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()

    def client(self) -> Any:
        """A boto3 client with the server's key: another library than ours, to fill and compare."""
        import boto3

        return boto3.client(
            "s3",
            endpoint_url=self.url,
            aws_access_key_id=KEY,
            aws_secret_access_key=SECRET,
            region_name="us-east-1",
        )

    def put(self, objects: Mapping[str, bytes], *, bucket: str = OPEN) -> None:
        """Write objects by key."""
        client = self.client()
        for key, data in objects.items():
            client.put_object(Bucket=bucket, Key=key, Body=data)

    def make_buckets(self) -> None:
        """Make OPEN and CLOSED."""
        for bucket in (OPEN, CLOSED):
            self.client().create_bucket(Bucket=bucket)

    def _wait(self) -> None:
        client, end = self.client(), time.monotonic() + 60
        while True:
            try:
                client.list_buckets()
            except Exception:  # noqa: BLE001 - it is starting: refused, cut, not ready
                assert time.monotonic() < end, "the server did not start"
                time.sleep(0.2)
            else:
                return
