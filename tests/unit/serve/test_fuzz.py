"""Whatever bytes come in, the answer is one that the document promises: never a fault, never a
trace, never memory without end."""

import base64
import io
import json
import os
import struct
import zlib
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from PIL import Image
from starlette.testclient import TestClient

from stocktake.errors import DataError
from stocktake.serve import wire
from stocktake.serve.app import Limits, make_app
from stocktake.serve.predictor import Predictor

EXPECTED = {200, 400, 406, 413, 415, 422}
"""What a request can get that nobody else disturbs; 500 is never right."""
MAX_BODY = 300_000
FEW = settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
MANY = settings(FEW, max_examples=20_000)
MOST_MB = 300

pytestmark = pytest.mark.filterwarnings("ignore")  # Pillow's own, on damaged metadata


def packed(kind: str, mode: str = "RGB", **options: object) -> bytes:
    pixels = np.random.default_rng(3).integers(0, 256, (30, 41, 3)).astype(np.uint8)
    file = io.BytesIO()
    Image.fromarray(pixels).convert(mode).save(file, kind, **options)
    return file.getvalue()


def turned() -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "maker" * 9
    return exif


def png_that_says(width_px: int, height_px: int, depth: int, colour: int) -> bytes:
    """A PNG with a header and hardly a pixel."""
    header = struct.pack(">IIBBBBB", width_px, height_px, depth, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(bytes(64))), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        for name, data in parts
    )


PHOTOS = [
    packed("JPEG"),
    packed("JPEG", progressive=True, exif=turned()),
    packed("JPEG", "CMYK"),
    packed("JPEG", "L", restart_marker_blocks=2),
    packed("PNG"),
    packed("PNG", "P"),
    packed("PNG", "RGBA", exif=turned()),
    packed("PNG", "I;16"),
    packed("WEBP", exif=turned()),
    packed("WEBP", "RGBA", lossless=True),
    packed("GIF"),
    b"",
    b"\xff\xd8\xff",
]


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A photo cut, spliced with another, or with bytes changed or put in."""
    photo = draw(st.sampled_from(PHOTOS))
    for _ in range(draw(st.integers(0, 3))):
        place = draw(st.integers(0, len(photo)))
        match draw(st.sampled_from(("cut", "behead", "splice", "change", "put in", "repeat"))):
            case "cut":
                photo = photo[:place]
            case "behead":
                photo = photo[place:]
            case "splice":
                other = draw(st.sampled_from(PHOTOS))
                photo = photo[:place] + other[draw(st.integers(0, len(other))) :]
            case "change":
                photo = photo[:place] + draw(st.binary(max_size=4)) + photo[place + 4 :]
            case "put in":
                photo = photo[:place] + draw(st.binary(max_size=20)) + photo[place:]
            case "repeat":
                piece = photo[place : place + draw(st.integers(1, 40))]
                photo = photo[:place] + piece * draw(st.integers(2, 300)) + photo[place:]
    return photo


sides = st.sampled_from((0, 1, 17, 5000, 7000, 60_000, 2**31 - 1))
bombs = st.builds(
    png_that_says, sides, sides, st.sampled_from((1, 8, 16)), st.sampled_from((0, 2, 3, 4, 6))
)
photos = st.one_of(damaged(), bombs, st.binary(max_size=200), st.sampled_from(PHOTOS))
texts = st.one_of(
    photos.map(lambda photo: base64.b64encode(photo).decode()),
    photos.map(lambda photo: "data:image/png;base64," + base64.b64encode(photo).decode()),
    st.text(max_size=20),
    st.sampled_from(("s3://bucket/key", "file:///etc/passwd", "http://127.0.0.1/", "\ud800")),
)
leaves = st.one_of(texts, st.none(), st.booleans(), st.integers(), st.floats())
anything = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner),
    max_leaves=8,
)
asked = st.one_of(
    st.dictionaries(st.sampled_from(wire.KEYS), texts, min_size=1, max_size=1),
    st.dictionaries(
        st.sampled_from(wire.KEYS), st.lists(texts, max_size=5), min_size=1, max_size=1
    ),
    st.dictionaries(st.sampled_from(wire.KEYS), anything, max_size=3),
    anything,
)
bodies_of_json = st.one_of(
    asked.map(lambda row: json.dumps(row).encode()),
    st.builds(lambda row, end: json.dumps(row).encode()[:end], asked, st.integers(0, 60)),
    st.builds(lambda mark, times: mark * times, st.sampled_from((b"[", b'{"photo":', b"1", b" ")),
              st.integers(1, 100_000)),
)  # fmt: skip


@st.composite
def forms(draw: st.DrawFn) -> tuple[bytes, bytes]:
    """(Content-Type, body) of a form, sound or nearly."""
    edge = draw(st.sampled_from((b"edge", b"", b'"', b"x" * 300, b"\xff\xfe", b"a b")))
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        name = draw(
            st.sampled_from((b'name="photo"; filename="a.jpg"', b'name="word"', b"", b"=;"))
        )
        head = b"--" + edge + b"\r\nContent-Disposition: form-data; " + name + b"\r\n\r\n"
        body += head + draw(photos) + b"\r\n"
    body += b"--" + edge + b"--\r\n"
    if draw(st.booleans()):
        body = body[: draw(st.integers(0, len(body)))]
    kind = draw(st.sampled_from((b"multipart/form-data; boundary=", b"multipart/form-data; ")))
    return kind + edge, body


latin = st.text(st.characters(min_codepoint=32, max_codepoint=255), max_size=30).map(
    lambda text: text.encode("latin-1")
)
kinds = st.one_of(
    st.sampled_from([kind.encode() for kind in (*wire.PHOTO_TYPES, wire.JSON_TYPE)]),
    st.builds(lambda kind, rest: kind.encode() + b";" + rest,
              st.sampled_from((wire.JSON_TYPE, "IMAGE/PNG", wire.FORM_TYPE)), latin),
    latin,
)  # fmt: skip
requests = st.one_of(
    st.tuples(st.sampled_from([kind.encode() for kind in wire.PHOTO_TYPES]), photos),
    st.tuples(st.just(b"application/json"), bodies_of_json),
    forms(),
    st.tuples(kinds, st.one_of(photos, bodies_of_json)),
    st.tuples(kinds, st.integers(MAX_BODY - 1, MAX_BODY + 2).map(bytes)),
)
accepts = st.one_of(st.just(b"*/*"), st.just(b"text/html;q=1, application/json;q=0"), latin)


def hold(client: TestClient, path: str, asked: tuple[bytes, bytes], accept: bytes) -> None:
    """Send it, and hold the answer to what is promised."""
    kind, body = asked
    reply = client.post(path, content=body, headers={b"Content-Type": kind, b"Accept": accept})

    assert reply.status_code in EXPECTED, reply.text
    assert reply.headers["content-type"] == "application/json"
    row = reply.json()
    if reply.status_code == 200:
        for one in row.get("predictions", [row]):
            assert list(one) == ["error"] or one["low"] <= one["count"] <= one["high"]
    else:
        assert list(row) == ["error"] and row["error"] and "\n" not in row["error"]
        assert len(row["error"]) < 600
    assert "Traceback" not in reply.text and 'File "' not in reply.text


@contextmanager
def bounded_memory(most_mb: float):
    """Holds the block's peak of resident memory to so much above what there was before."""
    if not Path("/proc/self/clear_refs").exists():
        yield
        return
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew, see proc(5)
    before = resident_mb("VmRSS")
    yield
    assert resident_mb("VmHWM") - before < most_mb


def resident_mb(name: str) -> float:
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{name}:")[1].split()[0]) / 1000


def fuzz(bundle: Path, how: settings) -> None:
    with TestClient(make_app(Predictor.load(bundle), Limits(max_body_bytes=MAX_BODY))) as client:

        @how
        @given(path=st.sampled_from(("/v1/count", "/invocations")), asked=requests, accept=accepts)
        @example(path="/v1/count", asked=(b"image/png", png_that_says(60_000, 60_000, 8, 2)),
                 accept=b"*/*")  # fmt: skip
        @example(path="/v1/count", asked=(b"image/png", png_that_says(1, 1, 1, 3)), accept=b"*/*")
        @example(path="/v1/count", asked=(b"application/json", b"[" * 100_000), accept=b"*/*")
        @example(path="/v1/count", asked=(b"multipart/form-data", b"--"), accept=b"")
        def holds(path, asked, accept):
            with bounded_memory(MOST_MB):
                hold(client, path, asked, accept)

        holds()


def test_any_request_gets_an_answer_that_is_promised(bright_bundle):
    fuzz(bright_bundle, FEW)


@pytest.mark.slow
@pytest.mark.timeout(1800)
def test_any_of_twenty_thousand_requests_gets_an_answer_that_is_promised(bright_bundle):
    fuzz(bright_bundle, MANY)


@FEW
@given(asked=requests)
def test_reading_gives_photos_or_says_in_one_line_why_not(asked):
    kind, body = asked
    try:
        found = wire.read(body, kind.decode("latin-1"))
    except wire.WireError as err:
        assert err.status in EXPECTED and "\n" not in str(err)
        return

    assert 0 < len(found.photos) <= wire.MAX_PHOTOS
    assert found.is_many or len(found.photos) == 1
    for one in found.photos:
        assert isinstance(one, bytes) or (isinstance(one, DataError) and "\n" not in str(one))


@pytest.mark.parametrize("name", ["RGBA PNG", "palette PNG", "WEBP", "progressive JPEG"])
@pytest.mark.slow
def test_the_largest_photo_that_is_taken_needs_a_few_hundred_megabytes(bright_bundle, name):
    photo = largest(name)
    assert len(photo) < 2_000_000
    with TestClient(make_app(Predictor.load(bright_bundle))) as client, bounded_memory(550):
        reply = client.post("/v1/count", content=photo, headers={"Content-Type": "image/png"})

    assert reply.status_code == 200, reply.text


def largest(name: str) -> bytes:
    """Made in a process of its own, whose memory ends with it."""
    mode, kind, side_px, options = {
        "RGBA PNG": ("RGBA", "PNG", 5000, {}),
        "palette PNG": ("P", "PNG", 5000, {}),
        "WEBP": ("RGBA", "WEBP", 5000, {"lossless": True}),
        "progressive JPEG": ("RGB", "JPEG", 7000, {"progressive": True, "subsampling": 0}),
    }[name]
    read, write = os.pipe()
    if os.fork() == 0:
        file = io.BytesIO()
        Image.new(mode, (side_px, side_px)).save(file, kind, **options)
        with os.fdopen(write, "wb") as out:
            out.write(file.getvalue())
        os._exit(0)
    os.close(write)
    with os.fdopen(read, "rb") as made:
        photo = made.read()
    os.wait()
    return photo
