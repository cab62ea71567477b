"""App: counts over HTTP. GET /ping, POST /invocations and /v1/count, and a page to try it.

The event loop only moves bytes: reading JSON, decoding and the engine run in threads, behind a
queue of bounded length. A full queue answers 503 at once, so waiting never grows without end.
"""

import asyncio
import logging
import time
import uuid
from collections.abc import AsyncIterator, Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Any, Protocol, TypeAlias

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, JSONResponse, Response
from starlette.routing import Route

from stocktake.errors import DataError
from stocktake.serve import access, metrics, openapi, wire
from stocktake.serve.gather import Batched, Closed, Gather, QueueFull
from stocktake.serve.occlusion import occlusion_map
from stocktake.serve.predictor import Predictor

log = logging.getLogger("stocktake.serve")

Handler: TypeAlias = Callable[[Request], Awaitable[Response]]

READERS = 8
"""Threads that unpack JSON and forms and fetch photos."""
METRICS = "/metrics"
MAPS_WAITING = 4
"""Maps of where the model looked that may wait; one takes 50 looks."""
HINTS = {
    404: "there is nothing here; POST a photo to /v1/count, or open / or /docs in a browser",
    405: "this address takes another method; GET /ping and /, POST /v1/count and /invocations",
}
RETRY = (429, 503)
PAGE_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline';"
    " script-src 'unsafe-inline'; img-src blob: data:; connect-src 'self'",
    "X-Content-Type-Options": "nosniff",
}


class Capture(Protocol):
    """Keeps requests and their answers."""

    def note(
        self,
        photo: bytes,
        content_type: str,
        *,
        answer: dict[str, Any],
        status: int,
        endpoint: str,
    ) -> str:
        """Keep one photo and its answer; returns at once."""

    def close(self) -> None:
        """Write what is still held."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Limits:
    """What one server takes on."""

    workers: int = 1
    """Batches computed at once."""
    waiting: int = 32
    """Photos that may wait beyond those; one more is answered 503."""
    batch: int = 16
    """Photos in a batch at most."""
    batch_wait_s: float = 0.0
    """How long a batch that is not full waits for more."""
    per_client: int = 0
    """Requests of one client that may be inside at once, 0 for any; one more is answered 429."""
    max_body_bytes: int = 8_000_000
    """Largest request body."""
    body_timeout_s: float = 30.0
    """Time for a client to send its whole body."""
    answer_timeout_s: float = 55.0
    """Time for an answer; after that 503. SageMaker gives up after 60 s."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Extras:
    """What a server may have besides."""

    token: str = ""
    """What clients must send; empty lets everybody ask."""
    fetch: wire.Fetch | None = None
    """Gets photos that are named by address."""
    capture: Capture | None = None
    """Keeps what is asked and answered."""


def make_app(
    predictor: Predictor, limits: Limits | None = None, extras: Extras | None = None
) -> Starlette:
    """The application over a predictor whose self-test has passed."""
    service = _Service(predictor, limits or Limits(), extras or Extras())
    serve = files("stocktake.serve")
    page, docs = ((serve / name).read_text(encoding="utf-8") for name in ("page.html", "docs.html"))
    document = openapi.document(
        max_count=predictor.bundle.max_count, has_token=bool(service.extras.token)
    )

    def shows(text: str) -> Handler:
        async def show(request: Request) -> Response:
            return HTMLResponse(text, headers=PAGE_HEADERS)

        return show

    def gives(row: dict[str, Any]) -> Handler:
        async def give(request: Request) -> Response:
            return JSONResponse(row)

        return give

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        yield
        await asyncio.to_thread(service.close)

    transform = {
        "MaxConcurrentTransforms": service.limits.workers,
        "BatchStrategy": "SINGLE_RECORD",
        "MaxPayloadInMB": max(1, service.limits.max_body_bytes // 1_000_000),
    }
    open_to_all = {
        "/": shows(page),
        "/docs": shows(docs),
        "/openapi.json": gives(document),
        "/ping": gives({"status": "ready", "bundle": predictor.bundle.id}),
        "/execution-parameters": gives(transform),
    }
    asked = {
        "/v1/count": (service.count, "POST"),
        "/invocations": (service.count, "POST"),
        "/v1/heatmap": (service.heatmap, "POST"),
        METRICS: (service.metrics_text, "GET"),
    }
    routes = [Route(path, handler) for path, handler in open_to_all.items()]
    routes += [
        Route(path, service.guarded(path, handler), methods=[method])
        for path, (handler, method) in asked.items()
    ]
    return Starlette(
        routes=routes, lifespan=lifespan, exception_handlers={HTTPException: _http_error}
    )


@dataclass(slots=True)
class _Photo:
    """A photo of a request on its way."""

    photo: bytes
    batched: Batched | None = None


@dataclass(slots=True)
class _Asked:
    """What a request has, once read."""

    kind: str
    photos: list[_Photo | DataError] = field(default_factory=list)
    is_many: bool = False


class _Service:
    """The handlers, and what they share."""

    def __init__(self, predictor: Predictor, limits: Limits, extras: Extras) -> None:
        self.limits = limits
        self.extras = extras
        self._predictor = predictor
        backbone = predictor.bundle.backbone
        name = backbone if isinstance(backbone, str) else str(backbone.get("name", ""))
        self._metrics = metrics.Metrics(bundle=predictor.bundle.id, backbone=name)
        self._gather = Gather(
            predictor.predict,
            workers=limits.workers,
            batch=limits.batch,
            wait_s=limits.batch_wait_s,
            room=limits.workers * limits.batch + limits.waiting,
            on_batch=self._metrics.batch.observe,
        )
        self._clients = access.Clients(limits.per_client)
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="read")
        self._mapper = ThreadPoolExecutor(1, thread_name_prefix="map")
        self._maps = 0

    def close(self) -> None:
        """Answer what is inside, keep what is captured, let the threads end."""
        self._gather.close()
        for pool in (self._readers, self._mapper):
            pool.shutdown(wait=False, cancel_futures=True)
        if self.extras.capture:
            self.extras.capture.close()

    async def count(self, request: Request) -> Response:
        """Answer a request for counts."""
        started = time.perf_counter()
        wire.check_accept(request.headers.get("accept", "*/*"))
        with self._one_more(request):
            self._gather.check_room()
            asked = await self._read(request)
            await self._answer(request, [one for one in asked.photos if isinstance(one, _Photo)])
            timed = [_timed(one) for one in asked.photos]
            ms = 1000 * (time.perf_counter() - started)
            try:
                row = wire.answers(timed, is_many=asked.is_many, ms=ms)
            finally:
                self._note(asked, timed, ms, request.url.path)
        return JSONResponse(row)

    async def heatmap(self, request: Request) -> Response:
        """Answer a request for a map of where the model looked."""
        started = time.perf_counter()
        wire.check_accept(request.headers.get("accept", "*/*"))
        with self._one_more(request):
            if self._maps > MAPS_WAITING:
                raise QueueFull(f"{self._maps} maps are waiting already")
            self._maps += 1
            try:
                asked = await self._read(request)
                if asked.is_many or not isinstance(asked.photos[0], _Photo):
                    raise wire.WireError(422, "a map is of one photo; send one")
                photo = asked.photos[0].photo
                loop = asyncio.get_running_loop()
                row = await loop.run_in_executor(self._mapper, self._map, photo)
            except DataError as err:
                raise wire.WireError(422, str(err)) from err
            finally:
                self._maps -= 1
        return JSONResponse({**row, "ms": round(1000 * (time.perf_counter() - started), 2)})

    async def metrics_text(self, request: Request) -> Response:
        """Answer Prometheus."""
        self._metrics.inside.set(self._gather.inside)
        return Response(self._metrics.text(), headers={"Content-Type": metrics.CONTENT_TYPE})

    def guarded(self, path: str, handler: Handler) -> Handler:
        """The handler for those who may ask, counted, with every failure turned into JSON; a
        client never sees a trace."""

        async def guarded(request: Request) -> Response:
            started = time.perf_counter()
            try:
                access.check_token(self.extras.token, request.headers.get("authorization", ""))
                reply = await handler(request)
            except wire.WireError as err:
                reply = _error(err.status, str(err))
            except QueueFull as err:
                reply = _error(503, f"{err}; try again in a second")
            except Closed as err:
                reply = _error(503, f"{err}; ask another one, or this one again in a minute")
            except Exception:
                name = uuid.uuid4().hex[:12]
                log.exception("request %s failed", name)
                reply = _error(500, f"the server failed; its log has the cause under id {name}")
            if path != METRICS:  # whoever watches would count itself
                self._metrics.requests.labels(path=path, status=str(reply.status_code)).inc()
                self._metrics.seconds.labels(path=path).observe(time.perf_counter() - started)
            return reply

        return guarded

    def _one_more(self, request: Request) -> Any:
        client = request.client.host if request.client else "unknown"
        return self._clients.one_more(client)

    async def _read(self, request: Request) -> _Asked:
        """The request's photos; what takes long is read in a thread."""
        body = await _body(request, self.limits)
        kind = request.headers.get("content-type", "")

        def read() -> wire.Request:
            return wire.read(body, kind, fetch=self.extras.fetch)

        is_photo = kind.partition(";")[0].strip().lower() in wire.PHOTO_TYPES
        if is_photo:
            found = read()
        else:
            found = await asyncio.get_running_loop().run_in_executor(self._readers, read)
        photos: list[_Photo | DataError] = [
            _Photo(one) if isinstance(one, bytes) else one for one in found.photos
        ]
        return _Asked(kind=kind if is_photo else "", photos=photos, is_many=found.is_many)

    async def _answer(self, request: Request, photos: list[_Photo]) -> None:
        """Put the answer on every photo.

        Raises:
            QueueFull: if they have no room.
            WireError: 503 if they take too long, 400 if the client hangs up: photos of its that
                wait are not computed then.
        """
        futures = self._gather.ask([one.photo for one in photos])
        gone = asyncio.create_task(_hung_up(request))
        try:
            async with asyncio.timeout(self.limits.answer_timeout_s):
                for one, future in zip(photos, futures, strict=True):
                    answer = asyncio.wrap_future(future)
                    first: set[asyncio.Future[Any]] = {answer, gone}
                    await asyncio.wait(first, return_when=asyncio.FIRST_COMPLETED)
                    if not answer.done():
                        raise wire.WireError(400, "the connection closed before the answer")
                    one.batched = answer.result()
        except TimeoutError:
            raise wire.WireError(
                503,
                f"no answer within {self.limits.answer_timeout_s:g} s; try again, or send fewer",
            ) from None
        finally:
            gone.cancel()
            for future in futures:
                future.cancel()  # those not begun: nobody waits for them any more

    def _map(self, photo: bytes) -> dict[str, Any]:
        prepared = self._predictor.prepare(photo)
        (answer,) = self._predictor.predict([photo])
        if isinstance(answer, DataError):
            raise answer
        made = occlusion_map(prepared, answer.count, self._predictor.log_probs)
        falls = [[round(float(fall), 4) for fall in row] for row in made.falls]
        return {"count": made.count, "falls": falls, "most": round(made.most, 4)}

    def _note(self, asked: _Asked, timed: list[wire.Timed], ms: float, path: str) -> None:
        for one, entry in zip(timed, asked.photos, strict=True):
            if isinstance(one.answer, DataError):
                self._metrics.photos.labels(outcome="error").inc()
                row, status = {"error": str(one.answer)}, 422
            else:
                self._metrics.photos.labels(outcome=one.answer.decision).inc()
                self._metrics.counts.labels(count=str(one.answer.count)).inc()
                row, status = wire.answer(one, ms=ms), 200
            if self.extras.capture and isinstance(entry, _Photo):
                self.extras.capture.note(
                    entry.photo, asked.kind, answer=row, status=status, endpoint=path
                )


async def _hung_up(request: Request) -> None:
    """Return when the client has closed the connection."""
    while (await request.receive())["type"] != "http.disconnect":
        pass


def _timed(one: _Photo | DataError) -> wire.Timed:
    if isinstance(one, DataError):
        return wire.Timed(answer=one)
    assert one.batched is not None, "every photo was answered, or an error was raised"
    return wire.Timed(answer=one.batched.answer, queue_ms=one.batched.queue_ms)


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


async def _http_error(request: Request, err: Exception) -> Response:
    assert isinstance(err, HTTPException)
    made = _error(err.status_code, HINTS.get(err.status_code, err.detail))
    made.headers.update(err.headers or {})
    return made


def _error(status: int, message: str) -> Response:
    headers = {"Retry-After": "1"} if status in RETRY else {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status in (408, 413):  # the rest of the body is still coming, and nobody reads it
        headers["Connection"] = "close"
    return JSONResponse({"error": message}, status_code=status, headers=headers)
