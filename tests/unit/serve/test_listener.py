import http.client
import json
import signal
import socket
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from stocktake.errors import SettingsError
from stocktake.serve.app import make_app
from stocktake.serve.listener import listen
from stocktake.serve.predictor import Predictor

JPEG = {"Content-Type": "image/jpeg"}
START = """
import sys; from pathlib import Path
from stocktake.serve.app import Limits, make_app
from stocktake.serve.listener import listen
from stocktake.serve.predictor import Predictor
class Slow(Predictor):
    def predict(self, photos, photo_ids=None):
        import time; time.sleep(float(sys.argv[2]))
        return super().predict(photos, photo_ids)
app = make_app(Slow.load(Path(sys.argv[1])), Limits(body_timeout_s=0.5))
listen(app, host="127.0.0.1", port=0, ready=lambda address: print(address, flush=True))
"""


@pytest.fixture
def start(bright_bundle):
    processes = []

    def begin(*, wait_s: float = 0.0) -> tuple[subprocess.Popen[str], str]:
        command = [sys.executable, "-c", START, str(bright_bundle), str(wait_s)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return process, process.stdout.readline().strip().removeprefix("http://")

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_sigterm_finishes_what_was_accepted_and_ends_quietly(start, photo_of):
    process, address = start(wait_s=0.6)
    with ThreadPoolExecutor(1) as pool:
        reply = pool.submit(post, address, photo_of(3))
        time.sleep(0.3)
        process.send_signal(signal.SIGTERM)

        assert reply.result(20)["count"] == 3
    assert process.wait(20) == 0
    with pytest.raises(OSError):
        post(address, photo_of(3))


def test_ctrl_c_ends_quietly_too(start):
    process, _ = start()

    process.send_signal(signal.SIGINT)

    assert process.wait(20) == 0


def test_a_slow_client_is_answered_408_and_let_go(start):
    _, address = start()
    host, port = address.split(":")
    with socket.create_connection((host, int(port)), timeout=10) as slow:
        slow.sendall(b"POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n")
        slow.sendall(b"Content-Length: 100\r\n\r\nhalf")
        reply = b""
        while chunk := slow.recv(4096):
            reply += chunk

    assert reply.startswith(b"HTTP/1.1 408 ") and b"did not arrive" in reply


def test_a_client_that_hangs_up_half_way_hurts_nobody(start, photo_of):
    _, address = start()
    host, port = address.split(":")
    for _ in range(5):
        with socket.create_connection((host, int(port)), timeout=10) as rude:
            rude.sendall(b"POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")

    assert post(address, photo_of(1))["count"] == 1


def test_a_port_in_use_is_one_line(bright_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken, pytest.raises(SettingsError) as caught:
        listen(
            make_app(Predictor.load(bright_bundle)),
            host="127.0.0.1",
            port=taken.getsockname()[1],
            ready=print,
        )

    assert "Address already in use" in str(caught.value)
    assert "choose another port" in str(caught.value)


def test_requests_at_once_get_their_own_answers(start, photo_of):
    _, address = start()
    counts = [i % 6 for i in range(30)]

    with ThreadPoolExecutor(8) as pool:
        answers = list(pool.map(lambda count: post(address, photo_of(count)), counts))

    assert [answer["count"] for answer in answers] == counts


def post(address: str, photo: bytes) -> dict:
    connection = http.client.HTTPConnection(address, timeout=20)
    try:
        connection.request("POST", "/v1/count", photo, JPEG)
        return json.loads(connection.getresponse().read())
    finally:
        connection.close()


def test_photos_of_a_client_that_hung_up_are_not_computed(start, photo_of):
    process, address = start(wait_s=0.5)
    host, port = address.split(":")
    photo = photo_of(1)
    head = "POST /v1/count HTTP/1.1\r\nHost: x\r\nContent-Type: image/jpeg\r\n"
    for _ in range(40):  # each would take its half second, in batches of 16
        with socket.create_connection((host, int(port)), timeout=10) as rude:
            rude.sendall(f"{head}Content-Length: {len(photo)}\r\n\r\n".encode() + photo)
            time.sleep(0.01)

    began = time.monotonic()
    assert post(address, photo_of(3))["count"] == 3
    assert time.monotonic() - began < 10

    connection = http.client.HTTPConnection(address, timeout=20)
    connection.request("GET", "/metrics")
    text = connection.getresponse().read().decode()
    computed = next(
        float(line.split()[-1])
        for line in text.splitlines()
        if line.startswith("stocktake_batch_photos_sum")
    )
    assert computed < 41
