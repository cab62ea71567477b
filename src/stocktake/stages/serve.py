"""Serve: answer counts over HTTP from a bundle; in a run, prove it on photos nobody trained on."""

import http.client
import json
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, EngineError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    import pyarrow as pa

    from stocktake.serve.capture import Capture
    from stocktake.serve.wire import Fetch
    from stocktake.store.objects import Store

LISTENING = re.compile(r"^listening on http://(\S+):(\d+)$", re.MULTILINE)
KEPT = (
    "workers",
    "threads",
    "waiting",
    "batch",
    "batch_wait_ms",
    "max_body_mb",
    "body_timeout_s",
    "answer_timeout_s",
)
"""Settings that the check in a run serves with as well."""
START_S = 60.0
"""A server that is not up by then will not come up; a start takes about a second."""
STOP_S = 35.0
"""The server drains for up to 25 s."""
ANSWER_S = 60.0
HERE = "127.0.0.1"
"""Where the check listens, whatever the settings say: it is nobody else's business."""


LEAST = {
    "workers": 0,
    "threads": 0,
    "processes": 1,
    "waiting": 0,
    "batch": 1,
    "batch_wait_ms": 0,
    "per_client": 0,
    "check_photos": 1,
}
"""The least that each number may be."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeSettings:
    """How a bundle is served, and how a run checks it."""

    host: str = HERE
    """Address to listen on; 0.0.0.0 for every network this machine is on."""
    port: int = 8080
    """Port to listen on, 0 for a free one; the check in a run always takes a free one."""
    workers: int = 0
    """Batches computed at once; 0 for one per core."""
    threads: int = 1
    """Threads the engine uses for one batch; 0 for one per core."""
    processes: int = 1
    """Server processes behind one socket; one that dies is replaced."""
    waiting: int = 32
    """Photos that may wait beyond those being answered; one more is answered 503."""
    batch: int = 16
    """Photos of several requests that go through the model together, 1 or more."""
    batch_wait_ms: float = 0.0
    """Milliseconds that a batch waits for more photos; 0 takes those that are there."""
    per_client: int = 0
    """Requests that one client address may have inside at once, 0 for any; one more gets 429."""
    max_body_mb: float = 8.0
    """Largest request body in megabytes."""
    body_timeout_s: float = 30.0
    """Seconds a client has to send its whole body."""
    answer_timeout_s: float = 55.0
    """Seconds until a request without an answer gets 503."""
    token_file: str = ""
    """File with a token that requests must send as Authorization: Bearer TOKEN; empty for none."""
    url_prefixes: str = ""
    """Addresses below which JSON requests may name photos, as "s3://BUCKET/PREFIX", commas between;
    empty allows none."""
    endpoint_url: str = ""
    """Address of an S3-compatible server, for url_prefixes and capture outside AWS."""
    anonymous: bool = False
    """Use those buckets without credentials, as public ones allow."""
    capture: str = ""
    """Folder or s3://BUCKET/PREFIX that keeps what is asked and answered; empty keeps nothing."""
    capture_share: float = 1.0
    """Share of photos that it keeps, 0 to 1, chosen at random."""
    capture_max_mb: float = 10_000.0
    """Megabytes after which it keeps no more."""
    check_photos: int = 5
    """Test photos that the check in a run sends over HTTP."""
    seed: int = 0
    """Seed of the choice of these photos."""

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if not 0 <= self.capture_share <= 1:
            raise ValueError(f"capture_share must be 0 to 1, got {self.capture_share}")
        if not 0 <= self.port <= 65535:
            raise ValueError(f"port must be between 0 and 65535, got {self.port}")
        for name in ("max_body_mb", "body_timeout_s", "answer_timeout_s", "capture_max_mb"):
            if not getattr(self, name) > 0:
                raise ValueError(f"{name} must be above 0, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ServeResult:
    """What the check found."""

    answers: list[dict[str, Any]]
    """Per photo: photo_id, true_count, count, confidence, low, high, probabilities, ms."""
    right: int
    """Photos whose count was the true one."""
    port: int
    """Port the server had."""
    start_s: float
    """Seconds from starting the server's process to its first healthy ping."""
    mean_ms: float
    """Mean time of one answer as the client saw it, milliseconds."""


def serve_forever(
    bundle: Path, settings: ServeSettings, *, ready: Callable[[str], None], fd: int | None = None
) -> None:
    """Answer until stopped, in this one process.

    Args:
        bundle: the bundle's folder.
        settings: `processes` is for `stages.supervise`, which starts as many of this.
        ready: told "listening on http://HOST:PORT" once it does.
        fd: a listening socket that was inherited from a supervisor.

    Raises:
        DataError: if the bundle is not whole or its self-test answers differently here.
        SettingsError: if the address cannot be listened on.
    """
    import logging
    import os
    import warnings

    from stocktake.serve import access
    from stocktake.serve.app import Extras, Limits, make_app
    from stocktake.serve.listener import listen
    from stocktake.serve.predictor import Predictor

    # What others' libraries say of a hostile photo or form would flood the log; the answer says it.
    warnings.filterwarnings("ignore", module=r"PIL\.")
    logging.getLogger("python_multipart").setLevel(logging.CRITICAL)
    logging.basicConfig(format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    predictor = Predictor.load(bundle, threads=settings.threads)
    predictor.self_test()
    limits = Limits(
        workers=settings.workers or os.cpu_count() or 1,
        waiting=settings.waiting,
        batch=settings.batch,
        batch_wait_s=settings.batch_wait_ms / 1000,
        per_client=settings.per_client,
        max_body_bytes=int(settings.max_body_mb * 1e6),
        body_timeout_s=settings.body_timeout_s,
        answer_timeout_s=settings.answer_timeout_s,
    )
    extras = Extras(
        token=access.read_token(settings.token_file),
        fetch=_fetch(settings, limits.max_body_bytes),
        capture=_capture(settings),
    )
    listen(
        make_app(predictor, limits, extras),
        host=settings.host,
        port=settings.port,
        ready=lambda address: ready(f"listening on {address}"),
        fd=fd,
    )


def _fetch(settings: ServeSettings, max_bytes: int) -> "Fetch | None":
    """Gets photos that requests name by address, as far as the settings allow any."""
    from functools import cache

    from stocktake.serve import access
    from stocktake.store.address import open_store

    @cache
    def store_at(prefix: str) -> "Store":
        return open_store(prefix, endpoint_url=settings.endpoint_url, anonymous=settings.anonymous)

    prefixes = [one.strip() for one in settings.url_prefixes.split(",") if one.strip()]
    for prefix in prefixes:
        store_at(prefix.rstrip("/") + "/")  # an address of no known kind is refused at the start
    return access.fetcher(
        prefixes, read=lambda prefix, key: store_at(prefix).read(key), max_bytes=max_bytes
    )


def _capture(settings: ServeSettings) -> "Capture | None":
    """Keeps what is asked and answered, where the settings name a place for it."""
    if not settings.capture:
        return None
    from stocktake.serve.capture import Capture
    from stocktake.store.address import open_store

    store = open_store(
        settings.capture,
        endpoint_url=settings.endpoint_url,
        anonymous=settings.anonymous,
        create=True,
    )
    return Capture(store, share=settings.capture_share, max_mb=settings.capture_max_mb)


def serve(
    *,
    bundle: RunFolder,
    photos: RunFolder,
    split: RunFolder,
    settings: ServeSettings,
    run: RunFolder,
) -> ServeResult:
    """Start the server as people would, send it test photos over HTTP, stop it.

    Raises:
        EngineError: if the server does not come up, dies or refuses a photo.
    """
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import read_table

    rows = read_table(split.artifact("split.parquet"), format="split/1")
    chosen = spread_over_counts(rows, photos=settings.check_photos, seed=settings.seed)
    jpegs = PhotoShards.open(photos.artifact("photos")).jpegs([name for name, _ in chosen])
    answers = []
    command = _command(bundle.artifact("bundle"), settings)
    with running(command, log=run.path / "server.log") as server:
        for (photo_id, count), jpeg in zip(chosen, jpegs, strict=True):
            answer, ms = server.ask(jpeg)
            shown = {key: answer[key] for key in SHOWN}
            answers.append({"photo_id": photo_id, "true_count": count, **shown, "ms": ms})
            run.artifact(f"photos/{photo_id}.jpg").write_bytes(jpeg)
            run.progress(len(answers), len(chosen), "photos")
    run.artifact("answers.json").write_text(json.dumps(answers, indent=2) + "\n")
    return ServeResult(
        answers=answers,
        right=sum(a["count"] == a["true_count"] for a in answers),
        port=server.port,
        start_s=round(server.start_s, 2),
        mean_ms=round(sum(a["ms"] for a in answers) / len(answers), 2),
    )


SHOWN = ("count", "confidence", "low", "high", "probabilities")


def spread_over_counts(split: "pa.Table", *, photos: int, seed: int) -> list[tuple[str, int]]:
    """(photo_id, true count) of test photos, one from each of `photos` equal shares by count.

    Raises:
        DataError: if the test fold is empty.
    """
    import numpy as np

    test = [
        (row["count"], row["photo_id"])
        for row in split.select(["photo_id", "fold", "count"]).to_pylist()
        if row["fold"] == "test"
    ]
    if not test:
        raise DataError("the split has no test photo to send; split more photos")
    rng = np.random.default_rng(seed)
    shares = np.array_split(np.arange(len(test)), min(photos, len(test)))
    ordered = sorted(test)
    places = [int(rng.choice(share)) for share in shares]
    return [(ordered[place][1], ordered[place][0]) for place in places]


@dataclass(slots=True)
class Server:
    """A server that answers; from `running`."""

    host: str
    port: int
    start_s: float
    log: Path

    def ask(self, photo: bytes) -> tuple[dict[str, Any], float]:
        """The answer to one photo, and the milliseconds from sending to reading it.

        Raises:
            EngineError: if there is no answer, or the server refuses.
        """
        started = time.perf_counter()
        status, body = _http(self.host, self.port, "POST", "/v1/count", photo)
        ms = round(1000 * (time.perf_counter() - started), 2)
        if status != 200:
            raise EngineError(
                f"the server answered {status} to a test photo: {_line(body.decode())};"
                f" its log is {self.log}"
            )
        return dict(json.loads(body)), ms


@contextmanager
def running(command: list[str], *, log: Path) -> Iterator[Server]:
    """The server that `command` starts, healthy; it is stopped whatever happens.

    Args:
        command: prints "listening on http://HOST:PORT".
        log: file that takes its output.

    Raises:
        EngineError: with the server's last lines, if it does not come up or /ping is not healthy.
    """
    started = time.monotonic()
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
        try:
            host, port = _wait_for_address(process, log, until=started + START_S)
            status, body = _http(host, port, "GET", "/ping")
            if status != 200:
                raise EngineError(f"the server is not healthy: /ping gave {status} {_line(body)}")
            yield Server(host, port, time.monotonic() - started, log)
        finally:
            _stop(process)


def _wait_for_address(
    process: "subprocess.Popen[bytes]", log: Path, *, until: float
) -> tuple[str, int]:
    while True:
        code = process.poll()
        text = log.read_text(encoding="utf-8", errors="replace")
        if code is None and (found := LISTENING.search(text)):
            return found[1], int(found[2])
        if code is not None or time.monotonic() > until:
            how = f"did not come up within {START_S:g} s" if code is None else f"ended with {code}"
            last = " | ".join(text.strip().splitlines()[-3:]) or "nothing"
            raise EngineError(f"the server {how}; its last lines: {last}; all of them: {log}")
        time.sleep(0.02)


def _stop(process: "subprocess.Popen[bytes]") -> None:
    """Ask the server to end, let it finish what it accepted, then make it end."""
    process.terminate()
    try:
        process.wait(STOP_S)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def _http(
    host: str, port: int, method: str, path: str, body: bytes | None = None
) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection(host, port, timeout=ANSWER_S)
    try:
        connection.request(method, path, body, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        return reply.status, reply.read()
    except (OSError, http.client.HTTPException) as err:
        raise EngineError(
            f"the server at {host}:{port} gave no answer to {method} {path} ({err}); run it again"
        ) from err
    finally:
        connection.close()


def _command(bundle: Path, settings: ServeSettings) -> list[str]:
    """The very command people type, on a free port of this machine."""
    kept = {name: getattr(settings, name) for name in KEPT}
    words = [f"serve.{key}={value}" for key, value in {"host": HERE, "port": 0, **kept}.items()]
    sets = [part for word in words for part in ("--set", word)]
    return [sys.executable, "-m", "stocktake", "serve", str(bundle), *sets]


def _line(text: str | bytes) -> str:
    return " ".join(str(text).split())[:300]
