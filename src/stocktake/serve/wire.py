"""Wire: what a request's bytes ask for, and what an answer looks like as JSON. Knows no server."""

import base64
import binascii
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from stocktake.errors import DataError, StocktakeError
from stocktake.schema.predictions import Prediction

PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "application/x-image")
"""Bodies that are one photo; the last is what SageMaker's own image models take."""
JSON_TYPE = "application/json"
MAX_PHOTOS = 64
"""Photos in one JSON body."""


class WireError(StocktakeError):
    """A request that cannot be answered; `status` is its HTTP status."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """The photos somebody asks about."""

    photos: list[bytes | DataError]
    """Whole files, or why a photo could not be unpacked from the request."""
    is_many: bool
    """Asked as a list, so answered as a list."""


def read(body: bytes, content_type: str) -> Request:
    """What the body asks for.

    Args:
        body: the whole request body.
        content_type: as in the header, parameters and all.

    Raises:
        WireError: 400 for an empty body or broken JSON, 415 for another type, 422 for JSON of
            another shape or one photo that is not base64.
    """
    kind = content_type.split(";")[0].strip().lower()
    if kind not in (*PHOTO_TYPES, JSON_TYPE):
        found = f"'{kind}'" if kind else "none"
        raise WireError(
            415,
            f"Content-Type is {found}; send the photo's bytes as {', '.join(PHOTO_TYPES[:3])},"
            f' or {JSON_TYPE} with {{"photo": BASE64}}',
        )
    if not body:
        raise WireError(400, "the body is empty; send the bytes of one photo, or JSON")
    if kind != JSON_TYPE:
        return Request(photos=[body], is_many=False)
    return _read_json(body)


def answer(prediction: Prediction, *, ms: float) -> dict[str, Any]:
    """One photo's answer as the client reads it; `ms` is the time it took here."""
    row = prediction.to_dict()
    row["probabilities"] = [round(p, 6) for p in prediction.probabilities]
    row["confidence"] = round(prediction.confidence, 6)
    if not prediction.photo_id:
        del row["photo_id"]
    return {**row, "ms": round(ms, 2)}


def answers(
    predictions: Sequence[Prediction | DataError], *, is_many: bool, ms: float
) -> dict[str, Any]:
    """The whole answer: one photo's, or {"predictions": [...]} with one entry per photo asked.

    Raises:
        WireError: 422 if the only photo asked about cannot be read.
    """
    if is_many:
        rows = [
            {"error": str(p)} if isinstance(p, DataError) else answer(p, ms=ms / len(predictions))
            for p in predictions
        ]
        return {"predictions": rows, "ms": round(ms, 2)}
    (only,) = predictions
    if isinstance(only, DataError):
        raise WireError(422, str(only))
    return answer(only, ms=ms)


def _read_json(body: bytes) -> Request:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as err:
        reason = " ".join(str(err).split()) if isinstance(err, ValueError) else "nested too deeply"
        raise WireError(400, f"the body is not JSON ({reason}); send {_SHAPES}") from None
    if not isinstance(asked, dict) or len(asked.keys() & {"photo", "photos"}) != 1:
        raise WireError(422, f"the JSON is of another shape; send {_SHAPES}")
    if "photo" in asked:
        photo = _unpacked(asked["photo"])
        if isinstance(photo, DataError):
            raise WireError(422, str(photo))
        return Request(photos=[photo], is_many=False)
    photos = asked["photos"]
    if not isinstance(photos, list) or not 0 < len(photos) <= MAX_PHOTOS:
        raise WireError(422, f"photos must be a list of 1 to {MAX_PHOTOS} base64 texts; send fewer")
    return Request(photos=[_unpacked(photo) for photo in photos], is_many=True)


_SHAPES = '{"photo": BASE64} or {"photos": [BASE64, ...]}'


def _unpacked(text: Any) -> bytes | DataError:
    if not isinstance(text, str):
        return DataError(
            f"photo is {type(text).__name__}, expected the file's bytes as base64 text"
        )
    if text.startswith("data:"):  # what a browser's FileReader gives
        text = text.partition(",")[2]
    try:
        return base64.b64decode("".join(text.split()), validate=True)
    except (binascii.Error, ValueError):
        return DataError("photo is not base64; encode the file's bytes with standard base64")
