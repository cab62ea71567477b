"""Listener: a socket, and an app that answers on it until it is told to end."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import uvicorn

from stocktake.serve import sockets
from stocktake.serve.draining import App, Draining
from stocktake.serve.protocol import BoundedProtocol

DRAIN_S = 25
"""Time for accepted requests after SIGTERM; SageMaker kills a container 30 s after it."""


def listen(
    app: App, *, host: str, port: int, ready: Callable[[str], None], fd: int | None = None
) -> None:
    """Answer until SIGTERM or SIGINT; accepted requests are finished first.

    Args:
        app: what answers, an ASGI application.
        host: address to listen on.
        port: 0 for a free one.
        ready: told the address, as http://127.0.0.1:8080, once connections are taken.
        fd: a listening socket that was inherited; host and port are then only its name.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    with sockets.bound(host, port) if fd is None else sockets.inherited(fd) as door:
        address = sockets.address_of(host, door)
        draining = Draining(app)
        config = uvicorn.Config(
            draining,
            http=BoundedProtocol,
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
