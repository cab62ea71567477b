"""App: counts over HTTP. GET / ping, POST /invocations and /v1/count, and a page to try it.

The event loop only moves bytes: reading JSON, decoding and the engine run in worker threads, behind
a queue of bounded length. A full queue answers 503 at once, so waiting never grows without end.
"""

import asyncio
import logging
import signal
import socket
import threading
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, TypeAlias

import uvicorn
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from stocktake.serve import sockets, wire
from stocktake.serve.draining import Draining
from stocktake.serve.predictor import Predictor

log = logging.getLogger("stocktake.serve")

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

DRAIN_S = 25
"""Time for accepted requests after SIGTERM; SageMaker kills a container 30 s after it."""
HINTS = {
    404: "there is nothing here; POST a photo to /v1/count, or open / in a browser",
    405: "this address takes another method; GET /ping and /, POST /v1/count and /invocations",
}
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one server takes on."""

    workers: int = 1
    """Requests computed at once."""
    waiting: int = 32
    """Requests that may wait for a worker; one more is answered 503."""
    max_body_bytes: int = 8_000_000
    """Largest request body."""
    body_timeout_s: float = 30.0
    """Time for a client to send its whole body."""


class Desk:
    """Worker threads behind a bounded queue."""

    def __init__(self, *, workers: int, waiting: int) -> None:
        self._pool = ThreadPoolExecutor(workers, thread_name_prefix="count")
        self._room = workers + waiting
        self._inside = 0

    def check_room(self) -> None:
        """WireError 503 if one more request would find no place."""
        if self._inside >= self._room:
            raise wire.WireError(
                503, f"{self._inside} requests are waiting already; try again in a second"
            )

    async def run(self, call: Callable[[], Any]) -> Any:
        """What `call` returns, from a worker thread; WireError 503 at once if the queue is full."""
        self.check_room()
        self._inside += 1
        try:
            return await asyncio.get_running_loop().run_in_executor(self._pool, call)
        finally:
            self._inside -= 1

    def close(self) -> None:
        """Let the threads end when they are idle."""
        self._pool.shutdown(wait=False)


def make_app(predictor: Predictor, limits: Limits | None = None) -> Starlette:
    """The application over a predictor whose self-test has passed."""
    limits = limits or Limits()
    desk = Desk(workers=limits.workers, waiting=limits.waiting)
    page = (files("stocktake.serve") / "page.html").read_text(encoding="utf-8")

    async def ping(request: Request) -> Response:
        return JSONResponse({"status": "ready", "bundle": predictor.bundle.id})

    async def show_page(request: Request) -> Response:
        return HTMLResponse(page, headers=PAGE_HEADERS)

    async def count(request: Request) -> Response:
        started = time.perf_counter()
        desk.check_room()
        body = await _body(request, limits)
        kind = request.headers.get("content-type", "")
        return JSONResponse(await desk.run(lambda: _count(predictor, body, kind, started)))

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        desk.close()

    routes = [
        Route("/ping", ping),
        Route("/", show_page),
        Route("/v1/count", _guarded(count), methods=["POST"]),
        Route("/invocations", _guarded(count), methods=["POST"]),
    ]
    return Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error}
    )


def listen(
    predictor: Predictor,
    *,
    host: str,
    port: int,
    limits: Limits,
    ready: Callable[[str], None],
    fd: int | None = None,
) -> None:
    """Answer until SIGTERM or SIGINT; accepted requests are finished first.

    Args:
        predictor: its self-test has passed.
        host: address to listen on.
        port: 0 for a free one.
        limits: what the server takes on.
        ready: told the address, as http://127.0.0.1:8080, once connections are taken.
        fd: a listening socket that was inherited; host and port are then only its name.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    with sockets.bound(host, port) if fd is None else sockets.inherited(fd) as door:
        address = sockets.address_of(host, door)
        draining = Draining(make_app(predictor, limits))
        config = uvicorn.Config(
            draining,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        with _signals_end_quietly():
            _Server(config, draining, lambda: ready(address)).run(sockets=[door])


class _Server(uvicorn.Server):
    """uvicorn's server that says when it takes connections, and drains before it closes them."""

    def __init__(
        self, config: uvicorn.Config, draining: Draining, ready: Callable[[], None]
    ) -> None:
        super().__init__(config)
        self._draining = draining
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        for server in self.servers:
            server.close()
        for one in sockets or []:
            one.close()
        await self._draining.begin(self.server_state.connections)
        await super().shutdown(sockets)


def _count(predictor: Predictor, body: bytes, kind: str, started: float) -> dict[str, Any]:
    """Read, predict, answer; runs in a worker thread. `started` is when the request came in."""
    asked = wire.read(body, kind)
    good = {i: photo for i, photo in enumerate(asked.photos) if isinstance(photo, bytes)}
    found = dict(zip(good, predictor.predict(list(good.values())), strict=True))
    predictions = [
        found[i] if isinstance(photo, bytes) else photo for i, photo in enumerate(asked.photos)
    ]
    ms = 1000 * (time.perf_counter() - started)
    return wire.answers(predictions, is_many=asked.is_many, ms=ms)


async def _body(request: Request, limits: Limits) -> bytes:
    """The request's whole body, refused as soon as it is known to be too large or too slow."""
    too_large = wire.WireError(
        413, f"the body has over {limits.max_body_bytes:,} bytes; send a smaller photo, or fewer"
    )
    announced = request.headers.get("content-length", "")
    if announced.isdigit() and int(announced) > limits.max_body_bytes:
        raise too_large
    body = bytearray()
    try:
        async with asyncio.timeout(limits.body_timeout_s):
            async for chunk in request.stream():
                body += chunk
                if len(body) > limits.max_body_bytes:
                    raise too_large
    except TimeoutError:
        raise wire.WireError(
            408, f"the body did not arrive within {limits.body_timeout_s:g} s; send it again"
        ) from None
    except ClientDisconnect:
        raise wire.WireError(400, "the connection closed before the body was whole") from None
    return bytes(body)


def _guarded(handler: Handler) -> Handler:
    """The handler with every failure turned into JSON; a client never sees a trace."""

    async def guarded(request: Request) -> Response:
        try:
            return await handler(request)
        except wire.WireError as err:
            return _error(err.status, str(err))
        except Exception:
            name = uuid.uuid4().hex[:12]
            log.exception("request %s failed", name)
            return _error(500, f"the server failed; its log has the cause under id {name}")

    return guarded


async def _http_error(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    made = _error(err.status_code, HINTS.get(err.status_code, err.detail))
    made.headers.update(err.headers or {})
    return made


def _error(status: int, message: str) -> Response:
    headers = {"Retry-After": "1"} if status == 503 else {}
    if status in (408, 413):  # the rest of the body is still coming, and nobody reads it
        headers["Connection"] = "close"
    return JSONResponse({"error": message}, status_code=status, headers=headers)


@contextmanager
def _signals_end_quietly() -> Iterator[None]:
    """uvicorn raises the signal that ended it once more; being stopped is no failure of ours."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    ends = (signal.SIGTERM, signal.SIGINT)
    before = [signal.signal(number, lambda *_: None) for number in ends]
    try:
        yield
    finally:
        for number, handler in zip(ends, before, strict=True):
            signal.signal(number, handler)
