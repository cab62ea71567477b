"""Protocol: uvicorn's HTTP, with bounds on what comes before a body and on silence.

uvicorn's fast parser takes a head (request line and headers) of any length for any time: one
client's hundred megabytes of header stay in memory, and clients that send a byte now and then, or
none, hold their connections for ever. The body's bounds are the app's own.
"""

import asyncio
import json

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

MAX_HEAD_BYTES = 65_536
"""As much as h11, uvicorn's other parser, and most proxies take."""
HEAD_S = 10.0
"""Time for a head, from its first byte or from connecting; between requests, uvicorn waits 5 s."""


class BoundedProtocol(HttpToolsProtocol):
    """Answers 431 to a head that is too long, 408 to one that is too slow; refuses in JSON."""

    _in_head = True
    _head_bytes = 0
    _has_begun = False
    _clock: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a head."""
        super().connection_made(transport)
        self._start_clock()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nothing more is waited for."""
        self._stop_clock()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Take bytes in, as long as the head they belong to is not too long."""
        self._has_begun = False
        super().data_received(data)
        if self.transport.is_closing():
            return
        if not self._is_answering():  # uvicorn has stopped its own clock, for any byte
            self._start_clock()
        if self._in_head and not self._has_begun:  # else other things were before it
            self._head_bytes += len(data)
            if self._head_bytes > MAX_HEAD_BYTES:
                self._refuse(431, f"the headers have over {MAX_HEAD_BYTES:,} bytes; send fewer")

    def on_message_begin(self) -> None:
        """A head begins."""
        super().on_message_begin()
        self._in_head = self._has_begun = True
        self._head_bytes = 0
        self._start_clock()

    def on_headers_complete(self) -> None:
        """A head has ended."""
        self._in_head = False
        self._stop_clock()
        super().on_headers_complete()

    def send_400_response(self, msg: str) -> None:
        """What was sent is not HTTP."""
        self._refuse(400, "the request is not HTTP; POST a photo to /v1/count")

    def _is_answering(self) -> bool:
        return self.cycle is not None and not self.cycle.response_complete

    def _start_clock(self) -> None:
        if self._clock is None:
            self._clock = self.loop.call_later(HEAD_S, self._too_slow)

    def _stop_clock(self) -> None:
        if self._clock is not None:
            self._clock.cancel()
            self._clock = None

    def _too_slow(self) -> None:
        self._clock = None
        if self._in_head and self.scope is not None:
            self._refuse(408, f"the headers did not arrive within {HEAD_S:g} s; send them again")
        elif not self._is_answering():  # silent from the start, or within a body nobody waits for
            self.transport.close()

    def _refuse(self, status: int, message: str) -> None:
        """Answer without the app, and close; an answer that is on its way goes out instead."""
        self._stop_clock()
        if self._is_answering():
            self.cycle.keep_alive = False
            self.flow.pause_reading()
            return
        body = json.dumps({"error": message}).encode()
        headers = [
            *self.server_state.default_headers,
            (b"content-type", b"application/json"),
            (b"content-length", str(len(body)).encode()),
            (b"connection", b"close"),
        ]
        lines = b"".join(name + b": " + value + b"\r\n" for name, value in headers)
        self.transport.write(STATUS_LINE[status] + lines + b"\r\n" + body)
        self.transport.close()
