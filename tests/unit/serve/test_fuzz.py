"""Whatever a client sends, the answer is one of those promised: JSON, one line, never a trace."""

import io
import json
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from stocktake.serve import wire
from stocktake.serve.app import Limits, make_app
from stocktake.serve.openapi import REFUSALS
from stocktake.serve.predictor import Predictor

KINDS = ("JPEG", "PNG", "WEBP")
MAX_BODY = 200_000


def photo(kind: str) -> bytes:
    pixels = np.random.default_rng(0).integers(0, 255, (40, 50, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, kind)
    return file.getvalue()


PHOTOS = [photo(kind) for kind in KINDS]


def bomb(side: int) -> bytes:
    """A PNG that says it has side x side pixels, and holds next to nothing."""

    def chunk(name: bytes, data: bytes) -> bytes:
        body = name + data
        return len(data).to_bytes(4, "big") + body + zlib.crc32(body).to_bytes(4, "big")

    head = side.to_bytes(4, "big") * 2 + b"\x08\x02\x00\x00\x00"
    data = zlib.compress(b"\0" * 100_000)
    marks = (chunk(b"IHDR", head), chunk(b"IDAT", data), chunk(b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(marks)


@st.composite
def broken(draw: st.DrawFn) -> bytes:
    """A photo that was cut, spliced with another, or had bytes changed."""
    one, other = draw(st.sampled_from(PHOTOS)), draw(st.sampled_from(PHOTOS))
    how = draw(st.sampled_from(["cut", "splice", "change", "twice", "noise"]))
    at = draw(st.integers(0, len(one)))
    if how == "cut":
        return one[:at]
    if how == "splice":
        return one[:at] + other[draw(st.integers(0, len(other))) :]
    if how == "twice":
        return one + other
    if how == "noise":
        return draw(st.binary(max_size=2000))
    made = bytearray(one)
    for _ in range(draw(st.integers(1, 20))):
        made[draw(st.integers(0, len(made) - 1))] = draw(st.integers(0, 255))
    return bytes(made)


JSONS = st.recursive(
    st.none() | st.booleans() | st.floats() | st.integers() | st.text(max_size=40),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(st.sampled_from([*wire.KEYS, "x"]), inner, max_size=3)
    ),
    max_leaves=12,
).map(lambda row: json.dumps(row).encode())
TYPES = st.sampled_from(
    [*wire.PHOTO_TYPES, wire.JSON_TYPE, wire.FORM_TYPE, f"{wire.FORM_TYPE}; boundary=x"]
) | st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=60)
FORMS = broken().map(
    lambda one: (
        b'--x\r\nContent-Disposition: form-data; name="p"; filename="p"\r\n\r\n'
        + one
        + b"\r\n--x--"
    )
)
BODIES = broken() | JSONS | FORMS | st.sampled_from([b"", bomb(60_000), bomb(2_000), b"{" * 9000])
PATHS = st.sampled_from(["/v1/count", "/invocations"])


def hold(client: TestClient, path: str, kind: str, body: bytes) -> None:
    """Send it, and hold the answer to what is promised."""
    reply = client.post(path, content=body, headers={"Content-Type": kind})

    told = reply.json()
    if reply.status_code == 200:
        assert "predictions" in told or 0 <= told["count"] <= 5
        return
    assert reply.status_code in REFUSALS and reply.status_code != 500, told
    assert list(told) == ["error"] and "\n" not in told["error"]
    assert "Traceback" not in told["error"] and len(told["error"]) < 1000


@pytest.fixture(scope="module")
def client(tmp_path_factory):
    from bright import write_bundle

    bundle = write_bundle(tmp_path_factory.mktemp("fuzz") / "bundle")
    app = make_app(Predictor.load(bundle), Limits(max_body_bytes=MAX_BODY))
    with TestClient(app) as made:
        yield made


ALL = list(HealthCheck)


@given(path=PATHS, kind=TYPES, body=BODIES)
@settings(max_examples=300, deadline=None, suppress_health_check=ALL)
def test_any_body_gets_an_answer_that_is_promised(client, path, kind, body):
    hold(client, path, kind, body)


@pytest.mark.slow
@given(path=PATHS, kind=TYPES, body=BODIES)
@settings(max_examples=20_000, deadline=None, suppress_health_check=ALL)
def test_twenty_thousand_bodies_get_an_answer_that_is_promised(client, path, kind, body):
    hold(client, path, kind, body)


@pytest.mark.parametrize("side", [60_000, 8_000])
def test_a_bomb_is_refused_by_its_size(client, side):
    reply = client.post("/v1/count", content=bomb(side), headers={"Content-Type": "image/png"})

    assert reply.status_code == 422 and "pixels" in reply.json()["error"]
