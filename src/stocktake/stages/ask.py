"""Ask: send photos to a server over HTTP, and read what it says of itself."""

import http.client
import json
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from stocktake.errors import EngineError

AT_ONCE = 4
"""Photos on their way at once: keeps a small server busy and leaves room for others."""
TIMEOUT_S = 60.0
BUSY_TRIES = 20
"""How often a server that is busy (503) is asked again."""
ANYWHERE = {"0.0.0.0": "127.0.0.1", "::": "::1"}
"""Where to ask a server that listens on every network."""
SHOWN = ("count", "confidence", "low", "high", "decision", "bundle")
COUNTER = "stocktake_requests_total"


def ask(address: str, photos: Sequence[Path]) -> Iterator[dict[str, Any]]:
    """An answer per photo, in their order: photo, count, confidence, low, high, decision, bundle.

    A photo that cannot be read or is refused has `error` in place of an answer and hurts only
    itself.

    Args:
        address: of the server, http://HOST:PORT.
        photos: files.
    """
    with ThreadPoolExecutor(AT_ONCE) as pool:
        yield from pool.map(lambda photo: _row(address, photo), photos)


def ping(address: str) -> dict[str, Any]:
    """What the server says of its health.

    Raises:
        EngineError: if there is no answer, or an unhealthy one.
    """
    try:
        status, body, _ = _http(address, "GET", "/ping")
    except (OSError, http.client.HTTPException) as err:
        raise EngineError(f"the server at {address} gives no answer to /ping ({err})") from err
    if status != 200:
        raise EngineError(f"the server at {address} is not healthy: /ping gave {status}")
    return dict(json.loads(body))


def requests_answered(address: str) -> int | None:
    """Requests the server has answered, from its metrics; None if it does not say."""
    try:
        status, body, _ = _http(address, "GET", "/metrics", timeout_s=2)
    except (OSError, http.client.HTTPException):
        return None
    lines = body.decode(errors="replace").splitlines() if status == 200 else []
    return total_of(lines)


def total_of(lines: Sequence[str]) -> int | None:
    """The sum of the request counter over its labels, in Prometheus' text format; None without."""
    found = [line for line in lines if line.startswith((f"{COUNTER}{{", f"{COUNTER} "))]
    if not found:
        return None
    return int(sum(float(line.split()[-1]) for line in found))


def _row(address: str, photo: Path) -> dict[str, Any]:
    try:
        body = photo.read_bytes()
    except OSError as err:
        return {"photo": str(photo), "error": f"cannot be read ({err.strerror})"}
    try:
        status, text = _answer(address, body)
    except (OSError, http.client.HTTPException) as err:
        said = str(err) or type(err).__name__
        return {"photo": str(photo), "error": f"no answer from {address} ({said})"}
    try:
        said = json.loads(text)
        if status == 200:
            return {"photo": str(photo)} | {key: said[key] for key in SHOWN}
        return {"photo": str(photo), "error": str(said["error"])}
    except (ValueError, KeyError, TypeError):
        return {"photo": str(photo), "error": f"the server answered {status}, and nothing to read"}


def _answer(address: str, photo: bytes) -> tuple[int, bytes]:
    """Status and body; a busy server is asked again, and so is one whose process died meanwhile."""
    for _ in range(BUSY_TRIES):
        try:
            status, body, wait_s = _http(address, "POST", "/v1/count", photo)
        except (ConnectionError, http.client.HTTPException):  # asking twice changes nothing
            status, body, wait_s = _http(address, "POST", "/v1/count", photo)
        if status != 503:
            break
        time.sleep(wait_s)
    return status, body


def _http(
    address: str, method: str, path: str, body: bytes | None = None, *, timeout_s: float = TIMEOUT_S
) -> tuple[int, bytes, float]:
    """Status, body, and the seconds after which the server wants to be asked again."""
    where = urlsplit(address)
    host = ANYWHERE.get(where.hostname or "", where.hostname or "")
    connection = http.client.HTTPConnection(host, where.port, timeout=timeout_s)
    try:
        connection.request(method, path, body, {"Content-Type": "application/x-image"})
        reply = connection.getresponse()
        wait = reply.headers.get("Retry-After", "")
        return reply.status, reply.read(), float(wait) if wait.isdigit() else 1.0
    finally:
        connection.close()
