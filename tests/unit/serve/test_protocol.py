import json
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from stocktake.serve.protocol import MAX_HEAD_BYTES

ASK = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n"
HEAD_S = 0.6
START = """
import asyncio, sys
from stocktake.serve import listener, protocol
protocol.HEAD_S = float(sys.argv[1])
async def app(scope, receive, send):
    if scope["type"] != "http":
        return
    size, more = 0, True
    while more:
        message = await receive()
        size, more = size + len(message.get("body", b"")), message.get("more_body", False)
    await asyncio.sleep(1.2 if scope["path"] == "/slow" else 0)
    text = str(size).encode()
    headers = [(b"content-length", str(len(text)).encode())]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": text})
listener.listen(app, host="127.0.0.1", port=0, ready=lambda address: print(address, flush=True))
"""


class Server:
    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=10)

    def resident_mb(self) -> float:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(status.split("VmRSS:")[1].split()[0]) / 1000


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    command = [sys.executable, "-c", START, str(HEAD_S)]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    yield Server(process, int(process.stdout.readline().rpartition(":")[2]))
    process.kill()
    process.communicate()


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the server closes."""
    found = b""
    while chunk := connection.recv(65536):
        found += chunk
    return found


def answer_of(connection: socket.socket) -> bytes:
    """The body of one answer of one byte."""
    found = b""
    while not found.partition(b"\r\n\r\n")[2]:
        found += connection.recv(4096)
    return found.partition(b"\r\n\r\n")[2]


def refusal(reply: bytes) -> tuple[int, str]:
    """(status, error) of the one refusal that was sent."""
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"content-type: application/json" in head and b"connection: close" in head
    return int(head.split()[1]), json.loads(body)["error"]


def test_a_head_of_usual_length_is_taken_in_any_pieces(server):
    with server.connect() as one:
        for piece in (b"POST / HT", b"TP/1.1\r\nHost: x\r\nContent-", b"Length: 3\r\n\r\na", b"bc"):
            one.sendall(piece)
            time.sleep(0.05)
        assert answer_of(one) == b"3"
        one.sendall(ASK % 0)
        assert answer_of(one) == b"0"


def test_a_head_that_is_too_long_is_refused_and_not_kept(server):
    before = server.resident_mb()
    with server.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * MAX_HEAD_BYTES)
        with pytest.raises(OSError):
            for _ in range(100):
                one.sendall(b"a" * 1_000_000)

    assert server.resident_mb() - before < 20


def test_a_head_of_endless_headers_is_told_431(server):
    with server.connect() as one:
        one.sendall(b"POST / HTTP/1.1\r\n" + b"a: b\r\n" * 30_000)
        time.sleep(0.1)
        one.sendall(b"a: b\r\n" * 12_000)
        status, error = refusal(rest_of(one))

    assert status == 431 and "send fewer" in error


def test_a_head_that_does_not_end_is_told_408_and_closed(server):
    with server.connect() as one:
        started = time.monotonic()
        one.sendall(b"POST / HT")
        status, error = refusal(rest_of(one))

    assert status == 408 and "did not arrive" in error
    assert HEAD_S * 0.9 < time.monotonic() - started < 5


@pytest.mark.parametrize("said", [b"", b"\r\n"])
def test_a_connection_without_a_request_is_closed(server, said):
    with server.connect() as one:
        one.sendall(said)

        assert rest_of(one) == b""


def test_an_empty_line_after_an_answer_does_not_keep_the_connection(server):
    with server.connect() as one:
        one.sendall(ASK % 0)
        assert answer_of(one) == b"0"
        one.sendall(b"\r\n")

        assert rest_of(one) == b""


def test_a_long_body_is_not_taken_for_a_head(server):
    with server.connect() as one:
        body = b"x" * (3 * MAX_HEAD_BYTES)
        one.sendall(ASK % len(body) + body + b"POST / HT")
        time.sleep(0.1)
        one.sendall(b"TP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        reply = rest_of(one)

    assert reply.count(b"HTTP/1.1 200") == 2 and str(len(body)).encode() in reply


def test_a_slow_second_head_does_not_cost_the_first_request_its_answer(server):
    with server.connect() as one:
        one.sendall(b"GET /slow HTTP/1.1\r\nHost: x\r\n\r\nGET / HT")
        reply = rest_of(one)

    assert reply.startswith(b"HTTP/1.1 200") and reply.endswith(b"\r\n\r\n0")


@pytest.mark.parametrize("said", [b"\x16\x03\x01\x02\x00", b"garbage\r\n\r\n", b"GET\r\n\r\n"])
def test_what_is_not_http_is_told_so_in_json(server, said):
    with server.connect() as one:
        one.sendall(said)
        status, error = refusal(rest_of(one))

    assert status == 400 and "not HTTP" in error
