import base64
import logging
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from stocktake.errors import DataError
from stocktake.schema.predictions import Prediction
from stocktake.serve import wire
from stocktake.serve.app import Extras, Limits, make_app
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
        "bundle", "queue_ms", "ms",
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
        ("POST", "/v1/count", b"x", "multipart/form-data", 400),
        ("POST", "/v1/count", b'{"url": "s3://a/b"}', "application/json", 422),
        ("POST", "/v1/heatmap", b"no photo", "image/jpeg", 422),
        ("POST", "/v1/heatmap", b"", "image/jpeg", 400),
        ("GET", "/v1/heatmap", b"", "", 405),
        ("POST", "/metrics", b"", "", 405),
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
    limits = Limits(workers=1, waiting=0, batch=1)
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


def test_the_page_needs_nothing_from_elsewhere(client):
    reply = client.get("/")

    assert reply.headers["content-type"].startswith("text/html")
    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "http://" not in reply.text and "https://" not in reply.text
    assert 'send("v1/count"' in reply.text


def test_a_form_of_several_photos_is_answered_in_order(client, photo_of):
    files = [("a", ("a.jpg", photo_of(n), "image/jpeg")) for n in (4, 1)]

    reply = client.post("/v1/count", files=files)

    assert [row["count"] for row in reply.json()["predictions"]] == [4, 1]


def test_an_accept_header_without_json_is_406(client, photo_of):
    reply = client.post("/v1/count", content=photo_of(1), headers=JPEG | {"Accept": "text/csv"})

    assert reply.status_code == 406 and "application/json" in reply.json()["error"]


TOKEN = "0123456789abcdef"


@pytest.mark.parametrize(
    ("path", "method"),
    [("/v1/count", "POST"), ("/invocations", "POST"), ("/v1/heatmap", "POST"), ("/metrics", "GET")],
)
def test_a_token_is_asked_for_where_photos_or_figures_go(bright_bundle, photo_of, path, method):
    app = make_app(Predictor.load(bright_bundle), extras=Extras(token=TOKEN))
    with TestClient(app) as client:
        bare, wrong, right = (
            client.request(method, path, content=photo_of(1), headers=JPEG | more)
            for more in (
                {},
                {"Authorization": "Bearer 0123456789abcdeF"},
                {"Authorization": f"Bearer {TOKEN}"},
            )
        )
        open_to_all = [client.get(one).status_code for one in ("/", "/ping", "/docs")]

    assert (bare.status_code, wrong.status_code, right.status_code) == (401, 401, 200)
    assert bare.headers["www-authenticate"] == "Bearer" and TOKEN not in bare.text
    assert open_to_all == [200] * 3


def test_a_client_with_too_many_requests_gets_429_and_others_are_served(bright_bundle, photo_of):
    waiting = Waiting.load(bright_bundle)
    waiting.go, waiting.begun = threading.Event(), threading.Semaphore(0)
    app = make_app(waiting, Limits(per_client=1))
    with (
        TestClient(app, client=("10.0.0.1", 1)) as client,
        ThreadPoolExecutor(2) as pool,
    ):
        other = TestClient(app, client=("10.0.0.2", 1))
        first = pool.submit(client.post, "/v1/count", content=photo_of(1), headers=JPEG)
        assert waiting.begun.acquire(timeout=10)

        refused = client.post("/v1/count", content=photo_of(2), headers=JPEG)
        waiting.go.set()
        served = other.post("/v1/count", content=photo_of(3), headers=JPEG)
        first.result(20)
        again = client.post("/v1/count", content=photo_of(2), headers=JPEG)

    assert refused.status_code == 429 and refused.headers["retry-after"] == "1"
    assert (served.status_code, again.status_code) == (200, 200)


def test_no_answer_in_time_is_503(bright_bundle, photo_of):
    waiting = Waiting.load(bright_bundle)
    waiting.go, waiting.begun = threading.Event(), threading.Semaphore(0)
    with TestClient(make_app(waiting, Limits(answer_timeout_s=0.05))) as client:
        reply = client.post("/v1/count", content=photo_of(1), headers=JPEG)
        waiting.go.set()

    assert reply.status_code == 503 and "no answer within 0.05 s" in reply.json()["error"]


def test_photos_by_address_come_from_where_it_is_allowed(bright_bundle, photo_of):
    def fetch(url: str) -> bytes:
        if url != "s3://bins/one.jpg":
            raise DataError("there is no such photo")
        return photo_of(2)

    app = make_app(Predictor.load(bright_bundle), extras=Extras(fetch=fetch))
    with TestClient(app) as client:
        reply = client.post("/v1/count", json={"urls": ["s3://bins/one.jpg", "s3://bins/two.jpg"]})

    one, two = reply.json()["predictions"]
    assert one["count"] == 2 and two == {"error": "there is no such photo"}


def test_metrics_count_requests_photos_and_batches(client, photo_of):
    client.post("/v1/count", content=photo_of(3), headers=JPEG)
    client.post("/v1/count", content=b"no photo", headers=JPEG)

    client.get("/metrics")
    text = client.get("/metrics").text

    assert "/metrics" not in text
    for line in (
        'stocktake_requests_total{path="/v1/count",status="200"} 1.0',
        'stocktake_requests_total{path="/v1/count",status="422"} 1.0',
        'stocktake_photos_total{outcome="error"} 1.0',
        'stocktake_counts_total{count="3"} 1.0',
        "stocktake_batch_photos_count 2.0",
        "stocktake_photos_inside 0.0",
    ):
        assert line in text


def test_a_map_says_where_the_model_looked(client, photo_of):
    reply = client.post("/v1/heatmap", content=photo_of(4), headers=JPEG)

    made = reply.json()
    assert reply.status_code == 200 and made["count"] == 4
    assert len(made["falls"]) == len(made["falls"][0]) == 7
    assert all(0 <= fall <= 1 for row in made["falls"] for fall in row)


class Noted:
    """Remembers what it is told."""

    def __init__(self) -> None:
        self.rows: list[tuple[object, ...]] = []
        self.is_closed = False

    def note(self, photo, content_type, *, answer, status, endpoint):
        self.rows.append((photo, content_type, answer, status, endpoint))

    def close(self):
        self.is_closed = True


def test_what_is_asked_and_answered_can_be_captured(bright_bundle, photo_of):
    noted = Noted()
    app = make_app(Predictor.load(bright_bundle), extras=Extras(capture=noted))
    with TestClient(app) as client:
        answer = client.post("/invocations", content=photo_of(3), headers=JPEG).json()
        client.post("/v1/count", content=b"no photo", headers=JPEG)

    assert noted.rows[0] == (photo_of(3), "image/jpeg", answer, 200, "/invocations")
    photo, _, row, status, path = noted.rows[1]
    assert (photo, list(row), status, path) == (b"no photo", ["error"], 422, "/v1/count")
    assert noted.is_closed


def test_the_document_names_every_address_and_batch_transform_is_told_the_limits(client):
    paths = client.get("/openapi.json").json()["paths"]

    for path, methods in paths.items():
        (method,) = methods
        assert client.request(method.upper(), path).status_code not in (404, 405)
    limits = client.get("/execution-parameters").json()
    assert limits == {
        "MaxConcurrentTransforms": 1, "BatchStrategy": "SINGLE_RECORD", "MaxPayloadInMB": 8,
    }  # fmt: skip


def test_the_document_page_needs_nothing_from_elsewhere(client):
    reply = client.get("/docs")

    assert "default-src 'none'" in reply.headers["content-security-policy"]
    assert "http://" not in reply.text and "https://" not in reply.text


def test_a_large_request_is_let_in_when_nothing_else_is_inside(client, photo_of):
    texts = [base64.b64encode(photo_of(1)).decode()] * wire.MAX_PHOTOS

    reply = client.post("/v1/count", json={"photos": texts})

    assert len(reply.json()["predictions"]) == wire.MAX_PHOTOS
