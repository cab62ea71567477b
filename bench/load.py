"""A server under load for minutes, one request in ten malformed: statuses, memory, and the answers.

Claims: no status of 500 and above but 503, which is back-pressure; memory does not grow; what is
answered is what the predictor says of the same photo.
"""

import argparse
import base64
import contextlib
import http.client
import json
import socket
import tempfile
import threading
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

import servers
from serve import photos_in

from stocktake.schema.predictions import Prediction
from stocktake.serve.predictor import Predictor

MALFORMED = 0.1
PATH = "/v1/count"
PHOTOS = 64
TOLERANCE = 1e-4
"""Largest gap in a probability: batches of other sizes are summed in another order."""


class Client(threading.Thread):
    """Asks one question after the other until it is told to stop."""

    def __init__(self, port: int, photos: list[bytes], number: int, until: float) -> None:
        super().__init__(daemon=True)
        self._port, self._photos, self._until = port, photos, until
        self._random = Random(number)
        self.statuses: Counter[str] = Counter()
        self.answers: list[tuple[int, dict[str, Any]]] = []

    def run(self) -> None:
        """Ask until the time is over."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        while time.monotonic() < self._until:
            place = self._random.randrange(len(self._photos))
            photo = self._photos[place]
            is_bad = self._random.random() < MALFORMED
            try:
                if is_bad:
                    self._misbehave(connection, photo)
                else:
                    status, body = self._ask(connection, photo, "image/jpeg")
                    self.statuses[f"good {status}"] += 1
                    if status == 200 and len(self.answers) < 200:
                        self.answers.append((place, json.loads(body)))
            except (OSError, http.client.HTTPException) as err:
                self.statuses[f"{'bad' if is_bad else 'good'} {type(err).__name__}"] += 1
                connection.close()
        connection.close()

    def _ask(
        self, connection: http.client.HTTPConnection, body: bytes, kind: str, **more: str
    ) -> tuple[int, bytes]:
        connection.request("POST", PATH, body, {"Content-Type": kind, **more})
        reply = connection.getresponse()
        return reply.status, reply.read()

    def _misbehave(self, connection: http.client.HTTPConnection, photo: bytes) -> None:
        what = self._random.choice(["cut", "type", "json", "empty", "header", "half", "base64"])
        if what == "half":
            with socket.create_connection(("127.0.0.1", self._port), timeout=60) as rude:
                head = f"POST {PATH} HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
                rude.sendall(head.encode() + b"Content-Length: 90000\r\n\r\n" + photo[:500])
            self.statuses["bad half, hung up"] += 1
            return
        bodies: dict[str, tuple[bytes, str, dict[str, str]]] = {
            "cut": (photo[: len(photo) // 3], "image/jpeg", {}),
            "type": (photo, "text/plain", {}),
            "json": (b'{"photo": ', "application/json", {}),
            "empty": (b"", "image/jpeg", {}),
            "header": (photo, "image/jpeg", {"X-Long": "x" * 100_000}),
            "base64": (
                json.dumps({"photo": base64.b64encode(photo[:50]).decode()}).encode(),
                "application/json",
                {},
            ),
        }
        body, kind, more = bodies[what]
        status, _ = self._ask(connection, body, kind, **more)
        self.statuses[f"bad {what} {status}"] += 1
        if what == "header":
            connection.close()


def largest_gap(bundle: Path, photos: list[bytes], clients: list[Client]) -> tuple[int, float]:
    """Answers compared, and the largest gap of a probability to the predictor's own."""
    own = [one for one in Predictor.load(bundle).predict(photos) if isinstance(one, Prediction)]
    gaps = [
        max(abs(a - b) for a, b in zip(said["probabilities"], own[at].probabilities, strict=True))
        for client in clients
        for at, said in client.answers
    ]
    return len(gaps), max(gaps, default=0.0)


def main() -> None:
    """Load, and print."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--bundle", type=Path, required=True)
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    side = servers.ours("stocktake", given.bundle.resolve(), workers=given.workers)
    with tempfile.TemporaryDirectory() as folder:
        photos = photos_in(Path(folder) / "photos", PHOTOS)
        with servers.running(side, photos[0], log=Path(folder) / "log") as server:
            until = time.monotonic() + 60 * given.minutes
            clients = [
                Client(server.port, photos, number, until) for number in range(given.connections)
            ]
            for client in clients:
                client.start()
            memory = []
            while time.monotonic() < until:
                time.sleep(min(10.0, max(0.1, until - time.monotonic())))
                memory.append(servers.memory_mb(server.process.pid))
            for client in clients:
                client.join(60)
            with contextlib.suppress(OSError):
                text = servers.ask(server.port, PATH, photos[0])[0]
                print(f"after the load a photo is answered {text}")
        compared, gap = largest_gap(given.bundle, photos, clients)
    total: Counter[str] = Counter()
    for client in clients:
        total += client.statuses
    print("| request, status | number |\n|---|--:|")
    for name, number in sorted(total.items()):
        print(f"| {name} | {number} |")
    early = memory[min(len(memory) - 1, len(memory) // 10)]
    print(
        f"\n{sum(total.values())} requests in {given.minutes:g} minutes; memory {early:.0f} MB"
        f" after a tenth of it, {memory[-1]:.0f} MB at the end, {max(memory):.0f} MB at most;"
        f" {compared} answers compared, largest gap {gap:.2g} (allowed {TOLERANCE:g})"
    )
    failures = [name for name in total if name.split()[-1][0] == "5" and not name.endswith("503")]
    if failures or gap > TOLERANCE:
        raise SystemExit(f"failed: {failures or 'answers differ'}")


if __name__ == "__main__":
    main()
