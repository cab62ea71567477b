"""Draining: a server that is told to end loses no request on its way out.

A server that closes its connections at once resets those whose request is still on its way: a new
connection, or one that is kept open between requests. So it first takes no new connection, asks
every client to close after its next answer, and waits a moment for what is on the way.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, MutableMapping
from typing import Any, TypeAlias

Message: TypeAlias = MutableMapping[str, Any]
Send: TypeAlias = Callable[[Message], Awaitable[None]]
Receive: TypeAlias = Callable[[], Awaitable[Message]]
App: TypeAlias = Callable[[Message, Receive, Send], Awaitable[None]]

LINGER_S = 1.0
"""How long an open connection may stay silent: a request that was on its way is here by then."""
LOOK_S = 0.02


class Draining:
    """The ASGI app it wraps; once `begun`, every answer asks the client to close."""

    def __init__(self, app: App) -> None:
        self._app = app
        self.is_begun = False

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        """Answer as the app does."""

        async def say(message: Message) -> None:
            if self.is_begun and message["type"] == "http.response.start":
                headers = [h for h in message.get("headers", ()) if h[0] != b"connection"]
                message = {**message, "headers": [*headers, (b"connection", b"close")]}
            await send(message)

        await self._app(scope, receive, say)

    async def begin(self, connections: Collection[object]) -> None:
        """Wait until every client has closed, LINGER_S at most.

        Args:
            connections: those that are open, a collection that shrinks as they close; the server
                takes no new ones.
        """
        self.is_begun = True
        until = asyncio.get_running_loop().time() + LINGER_S
        while connections and asyncio.get_running_loop().time() < until:
            await asyncio.sleep(LOOK_S)
