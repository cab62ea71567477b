import base64
import json

import pytest

from stocktake.errors import DataError
from stocktake.schema.predictions import Prediction
from stocktake.serve import wire

PHOTO = b"\xff\xd8 any bytes"
TEXT = base64.b64encode(PHOTO).decode()
PREDICTION = Prediction(
    photo_id="",
    count=1,
    confidence=0.7,
    low=0,
    high=1,
    coverage=0.9,
    probabilities=[0.3, 0.7],
    decision="review",
    bundle="abc",
)


def body(asked: object) -> bytes:
    return json.dumps(asked).encode()


@pytest.mark.parametrize(
    "kind", ["image/jpeg", "IMAGE/PNG", "image/webp; q=1", "application/x-image"]
)
def test_the_bytes_of_a_photo_are_one_photo(kind):
    asked = wire.read(PHOTO, kind)

    assert asked.photos == [PHOTO] and not asked.is_many


@pytest.mark.parametrize(
    "text", [TEXT, f"data:image/jpeg;base64,{TEXT}", f"{TEXT[:8]}\n{TEXT[8:]}"]
)
def test_json_may_hold_one_photo(text):
    asked = wire.read(body({"photo": text}), "application/json; charset=utf-8")

    assert asked.photos == [PHOTO] and not asked.is_many


def test_json_may_hold_many_photos_and_a_bad_one_hurts_only_itself():
    asked = wire.read(body({"photos": [TEXT, "?!", 7, TEXT]}), "application/json")

    assert asked.is_many
    assert [asked.photos[0], asked.photos[3]] == [PHOTO, PHOTO]
    assert all(isinstance(asked.photos[i], DataError) for i in (1, 2))


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (PHOTO, "", 415),
        (PHOTO, "text/plain", 415),
        (PHOTO, "multipart/form-data; boundary=x", 400),
        (b"", "image/jpeg", 400),
        (b"", "application/json", 400),
        (b"{", "application/json", 400),
        (b"\xff\xfe", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"photo": NaN}', "application/json", 422),
        (body([TEXT]), "application/json", 422),
        (body({}), "application/json", 422),
        (body({"photo": TEXT, "photos": [TEXT]}), "application/json", 422),
        (body({"photo": "?!"}), "application/json", 422),
        (body({"photo": 7}), "application/json", 422),
        (body({"photo": "é"}), "application/json", 422),
        (body({"photos": []}), "application/json", 422),
        (body({"photos": TEXT}), "application/json", 422),
        (body({"photos": ["x"] * 65}), "application/json", 422),
    ],
)
def test_a_bad_request_has_a_status_and_one_line_that_says_what_to_do(sent, kind, status):
    with pytest.raises(wire.WireError) as caught:
        wire.read(sent, kind)

    assert caught.value.status == status
    assert "\n" not in str(caught.value)
    assert any(word in str(caught.value) for word in ("send", "encode", "expected"))


def test_one_photo_gets_a_flat_answer():
    answer = wire.answers([wire.Timed(answer=PREDICTION, queue_ms=3.456)], is_many=False, ms=12.349)

    assert answer == {
        "count": 1,
        "confidence": 0.7,
        "low": 0,
        "high": 1,
        "coverage": 0.9,
        "decision": "review",
        "probabilities": [0.3, 0.7],
        "bundle": "abc",
        "queue_ms": 3.46,
        "ms": 12.35,
    }


def test_many_photos_get_an_entry_each():
    answer = wire.answers(
        [wire.Timed(answer=PREDICTION), wire.Timed(answer=DataError("photo is empty"))],
        is_many=True,
        ms=10,
    )

    assert answer["predictions"][0]["count"] == 1 and answer["predictions"][0]["ms"] == 10
    assert answer["predictions"][1] == {"error": "photo is empty"}


def test_a_single_photo_that_cannot_be_read_is_422():
    with pytest.raises(wire.WireError, match="photo is empty") as caught:
        wire.answers([wire.Timed(answer=DataError("photo is empty"))], is_many=False, ms=1)

    assert caught.value.status == 422


def form(*files: bytes) -> bytes:
    parts = b"".join(
        b'--x\r\nContent-Disposition: form-data; name="p"; filename="p.jpg"\r\n'
        b"Content-Type: image/jpeg\r\n\r\n" + one + b"\r\n"
        for one in files
    )
    return parts + b"--x--\r\n"


@pytest.mark.parametrize("files", [[PHOTO], [PHOTO, b"\r\n--y\x00\xff", PHOTO * 40_000]])
def test_a_form_has_its_files_byte_for_byte(files):
    asked = wire.read(form(*files), "multipart/form-data; boundary=x")

    assert asked.photos == files and asked.is_many == (len(files) > 1)


@pytest.mark.parametrize(
    ("sent", "kind", "status"),
    [
        (form(PHOTO), "multipart/form-data", 400),
        (form(PHOTO)[:-9], "multipart/form-data; boundary=x", 422),
        (form(PHOTO), "multipart/form-data; boundary=y", 400),
        (form(), "multipart/form-data; boundary=x", 422),
        (form(*[PHOTO] * 65), "multipart/form-data; boundary=x", 422),
    ],
)
def test_a_bad_form_has_a_status_and_one_line(sent, kind, status):
    with pytest.raises(wire.WireError) as caught:
        wire.read(sent, kind)

    assert caught.value.status == status
    assert "\n" not in str(caught.value) and "send" in str(caught.value)


@pytest.mark.parametrize(
    "accept",
    ["*/*", "application/json", "", "text/html, application/*;q=0.2", "text/csv,*/*;q=0.1"],
)
def test_an_accept_header_with_json_passes(accept):
    wire.check_accept(accept)


@pytest.mark.parametrize("accept", ["text/csv", "application/json;q=0", "image/*, text/html"])
def test_an_accept_header_without_json_is_refused(accept):
    with pytest.raises(wire.WireError, match="Accept is") as caught:
        wire.check_accept(accept)

    assert caught.value.status == 406


def test_addresses_are_fetched_where_that_is_allowed():
    asked = wire.read(
        body({"urls": ["s3://a/1.jpg", 7]}), "application/json", fetch=lambda url: url.encode()
    )

    assert asked.photos[0] == b"s3://a/1.jpg" and isinstance(asked.photos[1], DataError)


def test_addresses_are_refused_where_none_is_allowed():
    with pytest.raises(wire.WireError, match=r"serve\.url_prefixes"):
        wire.read(body({"url": "s3://a/1.jpg"}), "application/json")
