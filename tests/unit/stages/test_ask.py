import json
import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from stocktake.errors import EngineError
from stocktake.stages import ask

ANSWER = {"count": 3, "confidence": 0.9, "low": 2, "high": 4, "decision": "accept", "bundle": "ab"}
Reply = tuple[int, Any, dict[str, str]]


class Server(ThreadingHTTPServer):
    """Answers as it is told to; without a reply it hangs up."""

    replies: Callable[[str, bytes], Reply | None]
    asked: list[tuple[str, bytes]]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_GET(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.asked.append((self.path, body))
        reply = self.server.replies(self.path, body)
        if reply is None:
            self.connection.shutdown(socket.SHUT_RDWR)
            return
        status, said, headers = reply
        data = said if isinstance(said, bytes) else json.dumps(said).encode()
        self.send_response(status)
        for name, value in ({"Content-Length": str(len(data))} | headers).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    do_POST = do_GET  # noqa: N815 - the name is http.server's

    def log_message(self, *words: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as made:
        made.asked = []
        made.replies = lambda path, body: (200, ANSWER | {"ms": 1, "probabilities": [1.0]}, {})
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


@pytest.fixture
def photos(tmp_path: Path) -> list[Path]:
    made = [tmp_path / f"{n}.jpg" for n in range(9)]
    for n, path in enumerate(made):
        path.write_bytes(b"photo %d" % n)
    return made


def test_every_photo_is_sent_whole_and_answered_in_order(server, photos):
    rows = list(ask.ask(server.url, photos))

    assert rows == [{"photo": str(path)} | ANSWER for path in photos]
    assert sorted(server.asked) == [("/v1/count", path.read_bytes()) for path in photos]


def test_a_refused_photo_and_a_missing_one_hurt_only_themselves(server, photos):
    server.replies = lambda path, body: (
        (422, {"error": "no photo"}, {}) if body == b"photo 1" else (200, ANSWER, {})
    )
    photos[3].unlink()
    rows = list(ask.ask(server.url, photos[:5]))

    assert rows[1] == {"photo": str(photos[1]), "error": "no photo"}
    assert rows[3]["error"] == "cannot be read (No such file or directory)"
    assert [row.get("count") for row in rows] == [3, None, 3, None, 3]


def test_a_busy_server_is_asked_again_when_it_says(server, photos):
    replies: Iterator[Reply] = iter([(503, {"error": "full"}, {"Retry-After": "0"})] * 2)
    server.replies = lambda path, body: next(replies, (200, ANSWER, {}))

    assert list(ask.ask(server.url, photos[:1])) == [{"photo": str(photos[0])} | ANSWER]
    assert len(server.asked) == 3


def test_a_server_that_stays_busy_is_given_up(server, photos):
    server.replies = lambda path, body: (503, {"error": "full"}, {"Retry-After": "0"})
    (row,) = ask.ask(server.url, photos[:1])

    assert row["error"] == "full" and len(server.asked) == ask.BUSY_TRIES


def test_a_server_that_hangs_up_is_asked_once_more(server, photos):
    replies: Iterator[Reply | None] = iter([None])
    server.replies = lambda path, body: next(replies, (200, ANSWER, {}))
    (row,) = ask.ask(server.url, photos[:1])

    assert row["count"] == 3 and len(server.asked) == 2


def test_no_server_is_said_for_every_photo(photos):
    with socket.create_server(("127.0.0.1", 0)) as door:
        address = f"http://127.0.0.1:{door.getsockname()[1]}"
    rows = list(ask.ask(address, photos[:2]))

    assert all(f"no answer from {address}" in row["error"] for row in rows)


@pytest.mark.parametrize("said", [b"<html>", [1], {"other": 1}])
def test_an_answer_nobody_can_read_is_said_to_be_one(server, photos, said):
    server.replies = lambda path, body: (200, said, {})
    (row,) = ask.ask(server.url, photos[:1])

    assert row["error"] == "the server answered 200, and nothing to read"


def test_ping_gives_what_a_healthy_server_says_and_an_error_for_another(server):
    server.replies = lambda path, body: (200, {"status": "ready"}, {})
    assert ask.ping(server.url) == {"status": "ready"}

    server.replies = lambda path, body: (500, {}, {})
    with pytest.raises(EngineError, match="not healthy: /ping gave 500"):
        ask.ping(server.url)

    server.replies = lambda path, body: None
    with pytest.raises(EngineError, match="gives no answer to /ping"):
        ask.ping(server.url)


def test_a_server_that_listens_everywhere_is_asked_here(server):
    assert ask.ping(server.url.replace("127.0.0.1", "0.0.0.0"))["count"] == 3


def test_requests_are_counted_over_all_labels():
    text = """# HELP stocktake_requests_total Requests answered.
# TYPE stocktake_requests_total counter
stocktake_requests_total{path="/v1/count",status="200"} 41.0
stocktake_requests_total{path="/v1/count",status="422"} 1.0
stocktake_requests_total_created 5.0
stocktake_seconds_sum 9.0
"""

    assert ask.total_of(text.splitlines()) == 42
    assert ask.total_of(["stocktake_requests_total 7.0"]) == 7
    assert ask.total_of(["other 7.0"]) is None


def test_a_server_without_metrics_tells_no_number(server):
    server.replies = lambda path, body: (404, {"error": "nothing here"}, {})

    assert ask.requests_answered(server.url) is None


def test_a_server_with_metrics_tells_it(server):
    server.replies = lambda path, body: (200, b"stocktake_requests_total 7.0\n", {})

    assert ask.requests_answered(server.url) == 7
