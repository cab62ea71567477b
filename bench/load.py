"""Minutes of load with faults: what a server in the open must take without a fault of its own.

Claims: no answer in the 500s save 503 for back-pressure; every malformed request gets the status
that the document promises; answers equal those of `Predictor.predict` on the same photos; memory
does not grow.
32 connections send in a closed loop; one request in ten is malformed, in one of ten ways. Memory
is the resident memory of the server's process tree, its mean in the second tenth of the time beside
that in the last.
"""

import argparse
import contextlib
import json
import os
import random
import socket
import struct
import sys
import tempfile
import threading
import time
import zlib
from collections import Counter, defaultdict
from collections.abc import Callable
from http.client import HTTPConnection, HTTPException
from pathlib import Path

import servers
from serve import photos_in, random_bundle

GOOD = "a photo"
BODY_S = 2.0
NO_ANSWER = 0
KEPT = 400
"""Answers kept for the comparison."""


def png_that_says(side_px: int) -> bytes:
    """A bomb: a PNG of few bytes that announces many pixels."""
    header = struct.pack(">IIBBBBB", side_px, side_px, 8, 2, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(b"")), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


def head(length: int, more: str = "") -> bytes:
    """The head of a request with a photo."""
    return (
        "POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
        f"Content-Length: {length}\r\n{more}\r\n"
    ).encode()


class Client:
    """One connection that sends one request after another."""

    def __init__(self, port: int, photos: list[bytes], seed: int, share_bad: float) -> None:
        self._port = port
        self._photos = photos
        self._random = random.Random(seed)
        self._share_bad = share_bad
        self._kept = HTTPConnection("127.0.0.1", port, timeout=120)
        self.found: dict[str, Counter[int]] = defaultdict(Counter)
        self.answers: list[tuple[int, dict[str, object]]] = []
        """(number of the photo, answer) of some."""
        self.bad_words: list[str] = []
        """Refusals that are not one line of JSON."""

    def run(self, until: float) -> None:
        """Send until then."""
        while time.monotonic() < until:
            if self._random.random() < self._share_bad:
                name, (way, _) = self._random.choice(list(WAYS.items()))
                self.found[name][way(self)] += 1
            else:
                self._ask_well()

    def _ask_well(self) -> None:
        number = self._random.randrange(len(self._photos))
        status, body = self.post(self._photos[number])
        self.found[GOOD][status] += 1
        if status == 200 and len(self.answers) < KEPT:
            self.answers.append((number, json.loads(body)))
        if status != 200:
            time.sleep(0.1)

    def post(self, body: bytes, kind: str = "image/jpeg") -> tuple[int, bytes]:
        """Status and body of the answer over the kept connection; NO_ANSWER if there is none."""
        try:
            self._kept.request("POST", "/v1/count", body, {"Content-Type": kind})
            reply = self._kept.getresponse()
            text = reply.read()
        except (OSError, HTTPException):
            self._kept.close()
            return NO_ANSWER, b""
        if reply.status != 200:
            self._check(text)
        return reply.status, text

    def send(self, *pieces: bytes, reads: bool = True) -> int:
        """Status of the answer to raw bytes over a connection of their own."""
        with socket.create_connection(("127.0.0.1", self._port), timeout=60) as raw:
            reply = b""
            with contextlib.suppress(OSError):
                for piece in pieces:
                    raw.sendall(piece)
            with contextlib.suppress(OSError):
                while reads and (chunk := raw.recv(65536)):
                    reply += chunk
        if not reply:
            return NO_ANSWER
        self._check(reply.partition(b"\r\n\r\n")[2])
        return int(reply.split()[1])

    def photo(self) -> bytes:
        """Any of the photos."""
        return self._random.choice(self._photos)

    def cut(self) -> bytes:
        """A photo cut anywhere."""
        photo = self.photo()
        return photo[: self._random.randrange(1, len(photo) - 2)]

    def _check(self, body: bytes) -> None:
        try:
            is_told = list(json.loads(body)) == ["error"]
        except ValueError:
            is_told = False
        if not is_told or b"Traceback" in body:
            self.bad_words.append(repr(body[:200]))


WAYS: dict[str, tuple[Callable[[Client], int], set[int]]] = {
    "a JPEG cut short": (lambda c: c.post(c.cut())[0], {422}),
    "a type nobody takes": (lambda c: c.post(c.photo(), "text/plain")[0], {415}),
    "no JSON": (lambda c: c.post(b'{"photo": ', "application/json")[0], {400}),
    "JSON of another shape": (lambda c: c.post(b'{"photo": 7}', "application/json")[0], {422}),
    "an empty body": (lambda c: c.post(b"")[0], {400}),
    "a bomb": (lambda c: c.post(png_that_says(60_000), "image/png")[0], {422}),
    "a huge header": (
        lambda c: c.send(head(1, f"X: {'a' * 1_000_000}\r\n"), reads=True),
        {431, NO_ANSWER},  # reset while it still sends
    ),
    "no HTTP": (lambda c: c.send(c.photo()), {400}),
    "a body half sent": (lambda c: c.send(head(9_000), c.photo()[:500]), {408}),
    "gone half way": (lambda c: c.send(head(9_000), c.photo()[:500], reads=False), {NO_ANSWER}),
}
"""Each way to be wrong, and the statuses that are right for it; 503 always is."""


def watch(session: int, started: float, done: threading.Event) -> list[tuple[float, float]]:
    """(seconds, MB) while the load runs."""
    found = []
    while not done.wait(0.5):
        found.append((time.monotonic() - started, servers.memory_mb(session)))
    return found


def gaps(bundle: Path, photos: list[bytes], clients: list[Client]) -> tuple[int, float, int]:
    """(answers compared, largest gap in a probability, answers of another count)."""
    from stocktake.serve.predictor import Predictor

    own = Predictor.load(bundle).predict(photos)
    compared = [pair for client in clients for pair in client.answers]
    largest, others = 0.0, 0
    for number, answer in compared:
        wanted = own[number]
        pairs = zip(wanted.probabilities, answer["probabilities"], strict=True)
        gap = max(abs(a - b) for a, b in pairs)
        largest = max(largest, gap)
        others += answer["count"] != wanted.count and gap > 1e-3
    return len(compared), largest, others


def show(clients: list[Client], minutes: float) -> bool:
    """Print what was answered; whether all of it was right."""
    total: dict[str, Counter[int]] = defaultdict(Counter)
    for client in clients:
        for name, statuses in client.found.items():
            total[name] += statuses
    is_right = True
    print("| sent | requests | answers | as promised |\n|---|--:|---|---|")
    for name, statuses in total.items():
        right = {200, 503} if name == GOOD else WAYS[name][1] | {503}
        is_all = set(statuses) <= right
        is_right &= is_all
        told = ", ".join(f"{n} x {status or 'none'}" for status, n in sorted(statuses.items()))
        print(f"| {name} | {statuses.total()} | {told} | {'yes' if is_all else 'NO'} |")
    words = [word for client in clients for word in client.bad_words]
    print(f"\nrefusals that are not one line of JSON: {len(words)} {words[:3] or ''}")
    rate = total[GOOD][200] / minutes / 60
    print(f"photos answered: {total[GOOD][200]}, {rate:.1f} a second")
    return is_right and not words


def main() -> None:
    """Load, print, and exit with 1 if a claim does not hold."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--bundle", type=Path, help="what is served; else a random ResNet-50")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--connections", type=int, default=32)
    parser.add_argument("--share-bad", type=float, default=0.1)
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], help="a setting of the server")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        sys.exit(0 if load(given, Path(made)) else 1)


def load(given: argparse.Namespace, work: Path) -> bool:
    """The load; whether every claim holds."""
    bundle = (given.bundle or random_bundle(work / "random")).resolve()
    photos = photos_in(work / "photos", 64)
    sets = (f"serve.body_timeout_s={BODY_S}", *given.set)
    side = servers.ours("ours", bundle, workers=given.workers, sets=sets)
    seconds = given.minutes * 60
    log = work / "server.log"
    with servers.running(side, photos[0], log=log) as server:
        clients = [
            Client(server.port, photos, seed, given.share_bad) for seed in range(given.connections)
        ]
        started, done = time.monotonic(), threading.Event()
        memory: list[tuple[float, float]] = []
        watcher = threading.Thread(
            target=lambda: memory.extend(watch(server.process.pid, started, done))
        )
        threads = [
            threading.Thread(target=client.run, args=(started + seconds,)) for client in clients
        ]
        for thread in (watcher, *threads):
            thread.start()
        for thread in threads:
            thread.join()
        done.set()
        watcher.join()
        is_alive = server.process.poll() is None
    is_right = show(clients, given.minutes)
    first = [mb for at, mb in memory if seconds * 0.1 < at <= seconds * 0.2]
    last = [mb for at, mb in memory if at > seconds * 0.9]
    before, after = sum(first) / len(first), sum(last) / len(last)
    print(f"memory: {before:.0f} MB early, {after:.0f} MB at the end, at most {server.peak_mb:.0f}")
    compared, largest, others = gaps(bundle, photos, clients)
    print(
        f"{compared} answers beside Predictor.predict: largest gap in a probability {largest:.1e},"
        f" {others} of another count"
    )
    lines = log.read_text(errors="replace").splitlines()
    print(f"the server {'lives' if is_alive else 'DIED'}; its log has {len(lines)} lines")
    for line, times in Counter(line[24:120] for line in lines).most_common(3):
        print(f"  {times} x {line}")
    return is_right and is_alive and not others and after - before < 0.1 * before


if __name__ == "__main__":
    main()
