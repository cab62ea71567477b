import asyncio
import time

import pytest

from stocktake.serve import draining
from stocktake.serve.draining import Draining

ANSWER = {"type": "http.response.start", "status": 200, "headers": [(b"x", b"1")]}


async def app(scope, receive, send):
    await send(ANSWER)
    await send({"type": "http.response.body", "body": b"4"})


def asked(door: Draining) -> list[dict]:
    said: list[dict] = []

    async def send(message):
        said.append(message)

    asyncio.run(door({"type": "http"}, None, send))
    return said


def test_before_it_begins_answers_pass_as_they_are():
    assert asked(Draining(app)) == [ANSWER, {"type": "http.response.body", "body": b"4"}]


def test_once_begun_every_answer_asks_the_client_to_close():
    door = Draining(app)
    asyncio.run(door.begin([]))

    start, body = asked(door)

    assert start["headers"] == [(b"x", b"1"), (b"connection", b"close")]
    assert body["body"] == b"4" and (b"connection", b"close") not in ANSWER["headers"]


def test_it_ends_as_soon_as_the_last_client_has_closed():
    connections = {"first", "second"}

    async def close_both() -> float:
        started = time.monotonic()
        begun = asyncio.create_task(Draining(app).begin(connections))
        await asyncio.sleep(0.05)
        connections.pop()
        await asyncio.sleep(0.05)
        assert not begun.done()
        connections.pop()
        await begun
        return time.monotonic() - started

    assert asyncio.run(close_both()) < draining.LINGER_S


def test_a_client_that_stays_silent_is_waited_for_only_so_long(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(draining, "LINGER_S", 0.1)

    made, silent = Draining(app), {"silent"}
    asyncio.run(asyncio.wait_for(made.begin(silent), 5))

    assert made.is_begun and silent == {"silent"}
