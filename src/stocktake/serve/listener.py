"""Listener: a socket, and an app that answers on it until it is told to end."""

import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn

from stocktake.errors import SettingsError

DRAIN_S = 25
"""Time for accepted requests after SIGTERM; SageMaker kills a container 30 s after it."""


def listen(app: Any, *, host: str, port: int, ready: Callable[[str], None]) -> None:
    """Answer until SIGTERM or SIGINT; accepted requests are finished first.

    Args:
        app: an ASGI application.
        host: address to listen on.
        port: 0 for a free one.
        ready: told the address, as http://127.0.0.1:8080, once connections are taken.

    Raises:
        SettingsError: if the address cannot be listened on.
    """
    with _bound(host, port) as bound:
        name = f"[{host}]" if ":" in host else host
        address = f"http://{name}:{bound.getsockname()[1]}"
        config = uvicorn.Config(
            app,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=DRAIN_S,
        )
        with _signals_end_quietly():
            _Server(config, lambda: ready(address)).run(sockets=[bound])


class _Server(uvicorn.Server):
    """uvicorn's server that says when it takes connections."""

    def __init__(self, config: uvicorn.Config, ready: Callable[[], None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self.started:
            self._ready()


def _bound(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        return socket.create_server((host, port), family=family)
    except (OSError, OverflowError) as err:
        reason = getattr(err, "strerror", None) or err
        raise SettingsError(
            f"cannot listen on {host}:{port} ({reason}); choose another port (0 for a free one)"
            " or host"
        ) from err


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
