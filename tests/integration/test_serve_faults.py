"""The server as people start it, among clients that are slow, rude or many, and told to end."""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from bright import grey, write_bundle

BODY_S = 1.0
HEAD = (
    b"POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\nContent-Length: %d\r\n\r\n"
)
CONNECTIONS = 32


class Server:
    """The command, and what its clients find."""

    def __init__(self, process: "subprocess.Popen[str]", port: int) -> None:
        self.process, self.port = process, port

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.port), timeout=20)

    def client(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)

    def count(self, photo: bytes) -> tuple[int, dict]:
        """Status and answer to one photo, over a connection of its own."""
        client = self.client()
        try:
            return ask(client, photo)
        finally:
            client.close()

    def open_files(self) -> int:
        return len(list(Path(f"/proc/{self.process.pid}/fd").iterdir()))

    def inside(self) -> float:
        """Photos that the server says it has inside."""
        client = self.client()
        client.request("GET", "/metrics")
        text = client.getresponse().read().decode()
        client.close()
        (line,) = [one for one in text.splitlines() if one.startswith("stocktake_photos_inside")]
        return float(line.split()[-1])


@contextmanager
def serving(bundle: Path) -> Iterator[Server]:
    sets = ["serve.port=0", f"serve.body_timeout_s={BODY_S}", "serve.workers=2"]
    flags = [part for word in sets for part in ("--set", word)]
    command = [sys.executable, "-m", "stocktake", "serve", str(bundle), *flags]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        yield Server(process, int(process.stdout.readline().rpartition(":")[2]))
    finally:
        process.kill()
        process.communicate()


@pytest.fixture(scope="module")
def bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_bundle(tmp_path_factory.mktemp("faults") / "bundle")


@pytest.fixture(scope="module")
def server(bundle: Path) -> Iterator[Server]:
    with serving(bundle) as made:
        yield made


def ask(client: http.client.HTTPConnection, photo: bytes) -> tuple[int, dict]:
    client.request("POST", "/v1/count", photo, {"Content-Type": "image/jpeg"})
    reply = client.getresponse()
    return reply.status, json.loads(reply.read())


def rest_of(connection: socket.socket) -> bytes:
    """What comes until the end; a client that goes on sending may be reset, and lose the answer."""
    found = b""
    try:
        while chunk := connection.recv(65536):
            found += chunk
    except ConnectionResetError:
        return found
    return found


def wait_for(is_so, within_s: float = 10.0) -> None:
    until = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < until
        time.sleep(0.02)


def drip(connection: socket.socket, stopped: threading.Event) -> None:
    """A byte of body now and then."""
    try:
        while not stopped.wait(0.1):
            connection.sendall(b"x")
    except OSError:
        return  # the server has had enough


def test_slow_clients_are_cut_off_and_the_others_are_served_meanwhile(server):
    stopped = threading.Event()
    with ExitStack() as stack, ThreadPoolExecutor(CONNECTIONS) as pool:
        slow = [stack.enter_context(server.connect()) for _ in range(16)]
        started = time.monotonic()
        for one in slow:
            one.sendall(HEAD % 10_000)
            threading.Thread(target=drip, args=(one, stopped), daemon=True).start()

        quick = list(pool.map(server.count, [grey(i % 6) for i in range(64)]))
        replies = [rest_of(one) for one in slow]
        took_s = time.monotonic() - started
        stopped.set()

    assert [(status, row["count"]) for status, row in quick] == [(200, i % 6) for i in range(64)]
    assert any(replies)
    for reply in filter(None, replies):
        head, _, body = reply.partition(b"\r\n\r\n")
        assert head.startswith(b"HTTP/1.1 408 ")
        assert f"within {BODY_S:g} s" in json.loads(body)["error"]
    assert BODY_S * 0.9 < took_s < BODY_S + 9


def test_bodies_half_sent_and_connections_closed_early_leave_nothing_behind(server):
    server.count(grey(1))
    before = server.open_files()
    photo = grey(2)
    ends = [b"", HEAD[:30], HEAD % len(photo), HEAD % len(photo) + photo[:40], HEAD % 9 + photo[:8]]
    for i in range(100):
        with server.connect() as rude:
            rude.sendall(ends[i % len(ends)])
            if i % 2:  # resets instead of closing in order
                rude.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")

    assert server.count(grey(3))[1]["count"] == 3
    wait_for(lambda: server.open_files() <= before)
    wait_for(lambda: server.inside() == 0)


def test_clients_that_do_not_wait_for_their_answer_leave_nothing_behind(server):
    photo = grey(2)
    for _ in range(100):
        with server.connect() as rude:
            rude.sendall(HEAD % len(photo) + photo)

    wait_for(lambda: server.inside() == 0)
    assert server.count(grey(4))[1]["count"] == 4


def test_many_connections_at_once_get_their_own_answers(server):
    def many(number: int) -> list[tuple[int, int]]:
        client = server.client()
        found = [ask(client, grey((number + i) % 6)) for i in range(10)]
        client.close()
        return [(status, row["count"]) for status, row in found]

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        answers = list(pool.map(many, range(CONNECTIONS)))

    wanted = [[(200, (number + i) % 6) for i in range(10)] for number in range(CONNECTIONS)]
    assert answers == wanted


def test_a_mixture_of_bad_requests_gets_no_fault_and_good_ones_are_answered(server):
    photo = grey(2)
    bad = [
        (b"", "image/jpeg", 400),
        (photo[: len(photo) // 2], "image/jpeg", 422),
        (photo, "text/plain", 415),
        (b"{", "application/json", 400),
        (b'{"photo": 3}', "application/json", 422),
        (b"--x--\r\n", "multipart/form-data", 400),
    ]

    def one(number: int) -> tuple[int, int]:
        body, kind, wanted = bad[number // 2 % 6] if number % 2 else (photo, "image/jpeg", 200)
        client = server.client()
        client.request("POST", "/invocations", body, {"Content-Type": kind})
        reply = client.getresponse()
        row = json.loads(reply.read())
        client.close()
        assert ("error" in row) == (wanted != 200)
        return reply.status, wanted

    with ThreadPoolExecutor(CONNECTIONS) as pool:
        found = Counter(pool.map(one, range(120)))

    assert all(status == wanted for status, wanted in found), found


class Asking:
    """A client that keeps its connection and asks until it is told not to come back."""

    def __init__(self, server: Server, number: int) -> None:
        self.wanted = number % 6
        self.answers: list[tuple[int, int]] = []
        self.failure = ""
        self._client = server.client()
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def join(self) -> None:
        self._thread.join(30)
        assert not self._thread.is_alive()

    def _run(self) -> None:
        is_open = True
        while is_open:
            try:
                self._client.request(
                    "POST", "/v1/count", grey(self.wanted), {"Content-Type": "image/jpeg"}
                )
                reply = self._client.getresponse()
                self.answers.append((reply.status, json.loads(reply.read()).get("count")))
                is_open = reply.getheader("connection") != "close"
            except (OSError, http.client.HTTPException) as err:
                self.failure = repr(err)
                return


def test_told_to_end_under_load_it_answers_every_request_it_has_and_frees_its_port(bundle):
    with serving(bundle) as server:
        clients = [Asking(server, number) for number in range(CONNECTIONS)]
        wait_for(lambda: all(len(one.answers) > 3 for one in clients))
        server.process.send_signal(signal.SIGTERM)
        for one in clients:
            one.join()

        assert server.process.wait(30) == 0
        assert [one.failure for one in clients if one.failure] == []
        for one in clients:
            assert set(one.answers) == {(200, one.wanted)}
        with pytest.raises(OSError):
            server.connect()
        with socket.create_server(("127.0.0.1", server.port)):
            pass


def test_told_to_end_with_slow_clients_it_does_not_wait_for_them_for_ever(bundle):
    with serving(bundle) as server, server.connect() as half, server.connect() as silent:
        half.sendall(HEAD % 1000 + b"half")
        silent.sendall(b"POST /v1")
        assert server.count(grey(5))[1]["count"] == 5
        started = time.monotonic()
        server.process.send_signal(signal.SIGTERM)

        assert server.process.wait(30) == 0
        assert time.monotonic() - started < BODY_S + 10
