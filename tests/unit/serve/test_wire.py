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
        (PHOTO, "multipart/form-data; boundary=x", 415),
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
    answer = wire.answers([PREDICTION], is_many=False, ms=12.349)

    assert answer == {
        "count": 1,
        "confidence": 0.7,
        "low": 0,
        "high": 1,
        "coverage": 0.9,
        "decision": "review",
        "probabilities": [0.3, 0.7],
        "bundle": "abc",
        "ms": 12.35,
    }


def test_many_photos_get_an_entry_each():
    answer = wire.answers([PREDICTION, DataError("photo is empty")], is_many=True, ms=10)

    assert answer["predictions"][0]["count"] == 1 and answer["predictions"][0]["ms"] == 5
    assert answer["predictions"][1] == {"error": "photo is empty"}


def test_a_single_photo_that_cannot_be_read_is_422():
    with pytest.raises(wire.WireError, match="photo is empty") as caught:
        wire.answers([DataError("photo is empty")], is_many=False, ms=1)

    assert caught.value.status == 422
