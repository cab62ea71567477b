"""A proxy before an S3 server that spoils some answers, as networks and servers do."""

import http.client
import random
import threading
from collections import Counter
from collections.abc import Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any
from urllib.parse import unquote, urlsplit

KINDS = ("error", "cut", "short", "tag")
"""error: 503 SlowDown. cut: the connection ends half-way through the body. short: half of the
object, announced as the whole. tag: another ETag than the object's."""


class FaultProxy:
    """Passes GET and HEAD on to a server; `url` is where clients ask.

    Args:
        server: address of the real server.
        rates: share of requests for objects that meet each fault.
        always: fault by the end of a key, for every request of it.
        listings: fault by number of a request for a page of a listing, from 1.
        page: objects in one page of a listing, instead of the server's 1000.
        seed: of the faults' order.
    """

    def __init__(
        self,
        server: str,
        *,
        rates: Mapping[str, float] | None = None,
        always: Mapping[str, str] | None = None,
        listings: Mapping[int, str] | None = None,
        page: int = 1000,
        seed: int = 0,
    ) -> None:
        self._server = urlsplit(server).netloc
        self._rates = dict(rates or {})
        self._always = dict(always or {})
        self._listings = dict(listings or {})
        self._page = page
        self._random = random.Random(seed)
        self._lock = threading.Lock()
        self.met: Counter[str] = Counter()
        """Faults met so far, by kind."""
        self.asked: Counter[str] = Counter()
        """Requests for an object so far, by its key with the bucket."""
        self.pages = 0
        """Requests for a page of a listing so far."""
        self.away = threading.Event()
        """While set, every connection ends without an answer."""
        self.away_after: int | None = None
        """Go away by itself after so many requests for objects."""
        self._http = self._listen()
        self.url = f"http://127.0.0.1:{self._http.server_address[1]}"

    def __enter__(self) -> "FaultProxy":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._http.shutdown()
        self._http.server_close()

    def _fault_of(self, key: str) -> str | None:
        """The fault that the next request of this key meets; "" asks for a page of a listing."""
        with self._lock:
            if key:
                self.asked[key] += 1
                if self.away_after is not None and self.asked.total() > self.away_after:
                    self.away_after = None
                    self.away.set()
                found = self._drawn(key)
            else:
                self.pages += 1
                found = self._listings.get(self.pages)
            if found:
                self.met[found] += 1
            return found

    def _drawn(self, key: str) -> str | None:
        for end, kind in self._always.items():
            if key.endswith(end):
                return kind
        draw = self._random.random()
        for kind, rate in self._rates.items():
            if draw < rate:
                return kind
            draw -= rate
        return None

    def pass_on(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer one request with the server's answer, or with a spoilt one."""
        path, _, query = handler.path.partition("?")
        bucket, _, key = unquote(path).lstrip("/").partition("/")
        is_listing = not key or "list-type" in query
        fault = self._fault_of("" if is_listing else f"{bucket}/{key}")
        if self.away.is_set():
            handler.close_connection = True
            return
        if fault == "error":
            _answer(handler, 503, {"Content-Type": "application/xml"}, SLOW_DOWN)
            return
        if is_listing:
            handler.path += f"&max-keys={self._page}"
        status, headers, body = self._ask(handler)
        if fault == "tag":
            headers = {name: text for name, text in headers.items() if name.lower() != "etag"}
            headers["ETag"] = '"00000000000000000000000000000000"'
        if fault == "short":
            body = body[: len(body) // 2]
        announced = len(body)
        if fault == "cut":
            body = body[: len(body) // 2]
            handler.close_connection = True
        _answer(handler, status, headers, body, announced=announced)

    def _ask(self, handler: BaseHTTPRequestHandler) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection(self._server, timeout=30)
        try:
            connection.request(handler.command, handler.path, headers=dict(handler.headers.items()))
            found = connection.getresponse()
            body = found.read()
        except (OSError, http.client.HTTPException):
            return 502, {"Content-Type": "text/plain"}, b"the server is away"
        finally:
            connection.close()
        left_out = {"content-length", "connection", "transfer-encoding", "date", "server"}
        kept = {name: text for name, text in found.getheaders() if name.lower() not in left_out}
        if handler.command == "HEAD":
            kept["Content-Length"] = found.headers.get("Content-Length", "0")
        return found.status, kept, body

    def _listen(self) -> ThreadingHTTPServer:
        proxy = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True
            wbufsize = -1

            def do_GET(self) -> None:
                proxy.pass_on(self)

            do_HEAD = do_GET  # noqa: N815 - the library's name

            def log_message(self, *args: Any) -> None:
                return

        class Quiet(ThreadingHTTPServer):
            daemon_threads = True
            request_queue_size = 128

            def handle_error(self, request: Any, client_address: Any) -> None:
                return  # the client went away: it was killed, or saw a fault

        made = Quiet(("127.0.0.1", 0), Handler)
        threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.05}).start()
        return made


SLOW_DOWN = (
    b"<Error><Code>SlowDown</Code><Message>Please reduce your request rate.</Message></Error>"
)


def _answer(
    handler: BaseHTTPRequestHandler,
    status: int,
    headers: dict[str, str],
    body: bytes,
    *,
    announced: int | None = None,
) -> None:
    handler.send_response_only(status)
    for name, text in headers.items():
        handler.send_header(name, text)
    if "Content-Length" not in headers:
        handler.send_header("Content-Length", str(len(body) if announced is None else announced))
    handler.end_headers()
    if handler.command != "HEAD":
        handler.wfile.write(body)
    handler.wfile.flush()
