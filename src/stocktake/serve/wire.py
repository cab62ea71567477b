"""Wire: what a request's bytes ask for, and what an answer looks like as JSON. Knows no server."""

import base64
import binascii
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from stocktake.errors import DataError, StocktakeError
from stocktake.schema.predictions import Prediction

PHOTO_TYPES = ("image/jpeg", "image/png", "image/webp", "application/x-image")
"""Bodies that are one photo; the last is what SageMaker's own image models take."""
JSON_TYPE = "application/json"
FORM_TYPE = "multipart/form-data"
"""A form's body: each of its files is a photo."""
MAX_PHOTOS = 64
"""Photos in one request."""
KEYS = ("photo", "photos", "url", "urls")
"""What a JSON body may have, one of them."""

Fetch = Callable[[str], bytes]
"""The photo at an address; DataError if it may not or cannot be had."""


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


@dataclass(frozen=True, kw_only=True, slots=True)
class Timed:
    """An answer to one photo, and how long it waited for its turn."""

    answer: Prediction | DataError
    queue_ms: float = 0.0
    """Milliseconds."""


def check_accept(accept: str) -> None:
    """Hold a request's Accept header to what can be answered.

    Raises:
        WireError: 406 if it leaves JSON out.
    """
    for part in accept.split(","):
        kind, *options = (word.strip().lower() for word in part.split(";"))
        if kind in ("", "*/*", "application/*", JSON_TYPE) and "q=0" not in options:
            return
    raise WireError(
        406, f"Accept is '{accept[:100]}', and answers are {JSON_TYPE} alone; accept that or */*"
    )


def read(body: bytes, content_type: str, *, fetch: Fetch | None = None) -> Request:
    """What the body asks for.

    Args:
        body: the whole request body.
        content_type: as in the header, parameters and all.
        fetch: gets photos that JSON names by address; None where no address is allowed.

    Raises:
        WireError: 400 for an empty body, broken JSON or a broken form, 415 for another type, 422
            for JSON of another shape or one photo that cannot be had.
    """
    kind = content_type.split(";")[0].strip().lower()
    if kind not in (*PHOTO_TYPES, JSON_TYPE, FORM_TYPE):
        found = f"'{kind[:100]}'" if kind else "none"
        raise WireError(
            415,
            f"Content-Type is {found}; send the photo's bytes as {', '.join(PHOTO_TYPES[:3])},"
            f' {JSON_TYPE} with {{"photo": BASE64}}, or {FORM_TYPE} with files',
        )
    if not body:
        raise WireError(400, "the body is empty; send the bytes of one photo, or JSON")
    if kind in PHOTO_TYPES:
        return Request(photos=[body], is_many=False)
    if kind == FORM_TYPE:
        return _read_form(body, content_type)
    return _read_json(body, fetch)


def answer(timed: Timed, *, ms: float) -> dict[str, Any]:
    """One photo's answer as the client reads it; `ms` is the time the whole request took here."""
    assert isinstance(timed.answer, Prediction)
    row = timed.answer.to_dict()
    row["probabilities"] = [round(p, 6) for p in timed.answer.probabilities]
    row["confidence"] = round(timed.answer.confidence, 6)
    if not timed.answer.photo_id:
        del row["photo_id"]
    return {**row, "queue_ms": round(timed.queue_ms, 2), "ms": round(ms, 2)}


def answers(found: Sequence[Timed], *, is_many: bool, ms: float) -> dict[str, Any]:
    """The whole answer: one photo's, or {"predictions": [...]} with one entry per photo asked.

    Raises:
        WireError: 422 if the only photo asked about cannot be read.
    """
    if is_many:
        rows = [
            {"error": str(one.answer)} if isinstance(one.answer, DataError) else answer(one, ms=ms)
            for one in found
        ]
        return {"predictions": rows, "ms": round(ms, 2)}
    (only,) = found
    if isinstance(only.answer, DataError):
        raise WireError(422, str(only.answer))
    return answer(only, ms=ms)


def _read_json(body: bytes, fetch: Fetch | None) -> Request:
    try:
        asked = json.loads(body)
    except (ValueError, RecursionError) as err:
        reason = " ".join(str(err).split()) if isinstance(err, ValueError) else "nested too deeply"
        raise WireError(400, f"the body is not JSON ({reason}); send {_SHAPES}") from None
    if not isinstance(asked, dict) or len(asked.keys() & set(KEYS)) != 1:
        raise WireError(422, f"the JSON is of another shape; send {_SHAPES}")
    (key,) = asked.keys() & set(KEYS)
    unpacked = _unpacked if key.startswith("photo") else _fetched(fetch)
    if not key.endswith("s"):
        photo = unpacked(asked[key])
        if isinstance(photo, DataError):
            raise WireError(422, str(photo))
        return Request(photos=[photo], is_many=False)
    listed = asked[key]
    if not isinstance(listed, list) or not 0 < len(listed) <= MAX_PHOTOS:
        raise WireError(422, f"{key} must be a list of 1 to {MAX_PHOTOS} texts; send fewer")
    return Request(photos=[unpacked(one) for one in listed], is_many=True)


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


def _fetched(fetch: Fetch | None) -> Callable[[Any], bytes | DataError]:
    if fetch is None:
        raise WireError(
            422,
            "this server takes no addresses of photos; send the bytes, or have it started with"
            " serve.url_prefixes",
        )

    def fetched(url: Any) -> bytes | DataError:
        if not isinstance(url, str):
            return DataError(f"url is {type(url).__name__}, expected the address as text")
        try:
            return fetch(url)
        except DataError as err:
            return err

    return fetched


def _read_form(body: bytes, content_type: str) -> Request:
    """A form's files, in their order; a form with one file is one photo."""
    import io

    from python_multipart import create_form_parser
    from python_multipart.exceptions import FormParserError

    files: list[bytes] = []

    def take(file: Any) -> None:
        file.file_object.seek(0)
        files.append(file.file_object.read())
        file.close()

    headers = {"Content-Type": content_type.encode("latin-1", "replace")}
    try:
        # Files stay in memory: the body is whole and bounded already.
        parser = create_form_parser(
            headers, lambda field: None, take, config={"MAX_MEMORY_FILE_SIZE": len(body) + 1}
        )
        source = io.BytesIO(body)
        while chunk := source.read(1 << 20):
            parser.write(chunk)
        parser.finalize()
    except (FormParserError, ValueError) as err:
        reason = " ".join(str(err).split()) or type(err).__name__
        raise WireError(400, f"the form cannot be read ({reason}); send {FORM_TYPE}") from None
    if not 0 < len(files) <= MAX_PHOTOS:
        raise WireError(
            422, f"the form has {len(files)} files, expected 1 to {MAX_PHOTOS} photos; send those"
        )
    return Request(photos=list(files), is_many=len(files) > 1)
