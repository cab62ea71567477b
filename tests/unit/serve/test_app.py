import asyncio
import base64
import http.client
import json
import logging
import signal
import socket
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from stocktake.errors import SettingsError
from stocktake.schema.predictions import Prediction
from stocktake.serve import app as serving
from stocktake.serve.app import Desk, Limits, make_app
from stocktake.serve.predictor import Predictor

JPEG = {"Content-Type": "image/jpeg"}


class Waiting(Predictor):
    """A predictor that answers when it is told to."""

    go: threading.Event
    begun: threading.Semaphore

    def predict(self, photos, photo_ids=None):
        self.begun.release()
        assert self.go.wait(20)
        return super().predict(photos, photo_ids)


class Broken(Predictor):
    """A predictor with a fault of ours."""

    def predict(self, photos, photo_ids=None):
        raise KeyError("lost")


@pytest.fixture
def client(bright_bundle):
    with TestClient(make_app(Predictor.load(bright_bundle))) as made:
        yield made


def test_ping_says_which_bundle_is_ready(client, bright_bundle):
    reply = client.get("/ping")

    assert reply.status_code == 200
    assert reply.json() == {"status": "ready", "bundle": Predictor.load(bright_bundle).bundle.id}


@pytest.mark.parametrize("path", ["/v1/count", "/invocations"])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_photo_bytes_get_a_count(client, photo_of, path, kind):
    headers = {"Content-Type": f"image/{kind.lower()}"}

    reply = client.post(path, content=photo_of(4, kind=kind), headers=headers)

    answer = reply.json()
    assert reply.status_code == 200
    assert reply.headers["content-type"] == "application/json"
    assert answer["count"] == 4 and answer["low"] <= 4 <= answer["high"]
    assert set(answer) == {
        "count", "confidence", "low", "high", "coverage", "probabilities", "decision",
        "bundle", "ms",
    }  # fmt: skip
    assert len(answer["probabilities"]) == 6 and answer["ms"] > 0


def test_the_answer_over_http_is_the_predictors_own(client, bright_bundle, photo_of):
    (own,) = Predictor.load(bright_bundle).predict([photo_of(3)])

    answer = client.post("/v1/count", content=photo_of(3), headers=JPEG).json()

    assert isinstance(own, Prediction)
    assert answer["probabilities"] == pytest.approx(own.probabilities, abs=1e-6)
    assert (answer["low"], answer["high"]) == (own.low, own.high)


def test_many_photos_in_one_request_are_answered_in_order(client, photo_of):
    texts = [base64.b64encode(photo_of(n)).decode() for n in (5, 0, 2)]

    reply = client.post("/v1/count", json={"photos": [*texts[:2], "?!", "aGVsbG8=", texts[2]]})

    rows = reply.json()["predictions"]
    assert reply.status_code == 200
    assert [row.get("count") for row in rows] == [5, 0, None, None, 2]
    assert "base64" in rows[2]["error"] and "not a JPEG" in rows[3]["error"]


@pytest.mark.parametrize(
    ("method", "path", "content", "kind", "status"),
    [
        ("POST", "/v1/count", b"", "image/jpeg", 400),
        ("POST", "/v1/count", b"{", "application/json", 400),
        ("GET", "/v2/count", b"", "", 404),
        ("GET", "/invocations", b"", "", 405),
        ("DELETE", "/ping", b"", "", 405),
        ("POST", "/v1/count", b"x" * 1001, "image/jpeg", 413),
        ("POST", "/v1/count", b"x", "text/html", 415),
        ("POST", "/v1/count", b"x", "", 415),
        ("POST", "/v1/count", b"no photo", "image/jpeg", 422),
        ("POST", "/v1/count", b"{}", "application/json", 422),
    ],
)
def test_every_refusal_is_one_line_of_json(bright_bundle, method, path, content, kind, status):
    app = make_app(Predictor.load(bright_bundle), Limits(max_body_bytes=1000))
    with TestClient(app) as client:
        reply = client.request(method, path, content=content, headers={"Content-Type": kind})

    assert reply.status_code == status
    assert list(reply.json()) == ["error"]
    assert "\n" not in reply.json()["error"]


def test_a_body_of_unknown_length_is_cut_off_at_the_limit(bright_bundle):
    app = make_app(Predictor.load(bright_bundle), Limits(max_body_bytes=1000))
    with TestClient(app) as client:
        reply = client.post("/v1/count", content=(b"x" * 400 for _ in range(9)), headers=JPEG)

    assert reply.status_code == 413


def test_a_fault_of_ours_is_500_with_an_id_that_is_in_the_log(bright_bundle, photo_of, caplog):
    broken = Broken.load(bright_bundle)
    with TestClient(make_app(broken)) as client, caplog.at_level(logging.ERROR):
        reply = client.post("/v1/count", content=photo_of(1), headers=JPEG)

    said = reply.json()["error"]
    assert reply.status_code == 500
    assert "Traceback" not in reply.text and "lost" not in reply.text
    assert said.split()[-1] in caplog.text and "KeyError" in caplog.text


def test_a_full_queue_answers_503_at_once_and_the_others_are_served(bright_bundle, photo_of):
    waiting = Waiting.load(bright_bundle)
    waiting.go, waiting.begun = threading.Event(), threading.Semaphore(0)
    limits = Limits(workers=1, waiting=0)
    with TestClient(make_app(waiting, limits)) as client, ThreadPoolExecutor(1) as pool:
        first = pool.submit(client.post, "/v1/count", content=photo_of(1), headers=JPEG)
        assert waiting.begun.acquire(timeout=10)

        ping = client.get("/ping")  # the loop is free while the engine works
        full = client.post("/v1/count", content=photo_of(2), headers=JPEG)
        waiting.go.set()
        after = first.result(20), client.post("/v1/count", content=photo_of(3), headers=JPEG)

    assert ping.status_code == 200
    assert full.status_code == 503 and full.headers["retry-after"] == "1"
    assert "try again" in full.json()["error"]
    assert [reply.json()["count"] for reply in after] == [1, 3]


def test_the_queue_holds_as_many_as_it_says():
    async def fill() -> list[object]:
        desk, go = Desk(workers=1, waiting=2), threading.Event()
        sent = [asyncio.create_task(desk.run(go.wait)) for _ in range(5)]
        await asyncio.sleep(0)
        go.set()
        return await asyncio.gather(*sent, return_exceptions=True)

    ends = asyncio.run(fill())

    assert ends[:3] == [True] * 3
    assert [end.status for end in ends[3:]] == [503, 503]


def test_the_page_needs_nothing_from_elsewhere(client):
    reply = client.get("/")

    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "http://" not in reply.text and "https://" not in reply.text
    assert 'fetch("v1/count"' in reply.text


# the same over a socket, in a process of its own

START = """
import sys; from pathlib import Path
from stocktake.serve.app import Limits, listen
from stocktake.serve.predictor import Predictor
class Slow(Predictor):
    def predict(self, photos, photo_ids=None):
        import time; time.sleep(float(sys.argv[2]))
        return super().predict(photos, photo_ids)
listen(Slow.load(Path(sys.argv[1])), host="127.0.0.1", port=0,
       limits=Limits(body_timeout_s=0.5), ready=lambda address: print(address, flush=True))
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
        serving.listen(
            Predictor.load(bright_bundle),
            host="127.0.0.1",
            port=taken.getsockname()[1],
            limits=Limits(),
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
