"""Source: listed photos, fetched and checked, many at a time, in the order of the listing."""

import hashlib
import io
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, TypeAlias

from stocktake.data import metadata, retry
from stocktake.data.counts import Counts
from stocktake.data.listing import METADATA, PHOTOS, Listed, Reject, reject
from stocktake.data.retry import PatientReader, Unanswered
from stocktake.errors import DataError
from stocktake.imaging.decode import decode
from stocktake.imaging.soundness import size_of_sound
from stocktake.runs.machine import cores
from stocktake.store.objects import Entry, Garbled, Missing, Refused, Store

SHRUNK_QUALITY = 90
"""JPEG quality of shrunk photos."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """One listed photo whose count was not asked for."""

    photo_id: str
    count: int


Reader: TypeAlias = Store | PatientReader
"""What gives an object's bytes by its key."""

Outcome: TypeAlias = dict[str, Any] | Reject | LeftOut
"""What a listed photo came to: a row of photos/1, or why it is none."""


def fetch_all(
    store: Store,
    photos: Iterable[Listed],
    *,
    counts: Counts,
    side_px: int = 0,
    squash: bool = False,
    in_flight: int = 16,
) -> Generator[Outcome, None, None]:
    """The outcome of every listed photo, in their order; as many wait in memory as are in flight.

    Args:
        store: where they are.
        photos: which ones.
        counts: the counts that are asked for.
        side_px: see `fetch`.
        squash: see `fetch`.
        in_flight: photos fetched at once.

    Raises:
        DataError: if the store does not answer.
    """
    # Many wait for the store, few decode: a decoding thread takes 20 MB, and cores are few.
    turn = BoundedSemaphore(cores())
    reader = PatientReader(store, away_s=retry.AWAY_S)

    def one(listed: Listed) -> Outcome:
        return fetch(reader, listed, counts=counts, side_px=side_px, squash=squash, turn=turn)

    with ThreadPoolExecutor(in_flight, thread_name_prefix="fetch") as pool:
        ahead: deque[Future[Outcome]] = deque()
        try:
            for listed in photos:
                ahead.append(pool.submit(one, listed))
                if len(ahead) > 2 * in_flight:
                    yield ahead.popleft().result()
            while ahead:
                yield ahead.popleft().result()
        finally:
            reader.close()
            for future in ahead:
                future.cancel()


def fetch(
    store: Reader,
    listed: Listed,
    *,
    counts: Counts,
    side_px: int = 0,
    squash: bool = False,
    turn: AbstractContextManager[Any] | None = None,
) -> Outcome:
    """One photo as a row of photos/1, or why it is none.

    The metadata is read first: a photo whose count is not asked for is not fetched.

    Args:
        store: where it is.
        listed: which one.
        counts: the counts that are asked for.
        side_px: shrink photos so that the short side has this many pixels; 0 keeps their bytes.
        squash: shrink both sides to side_px instead, whatever the aspect.
        turn: held while decoding, to keep that to a few threads at a time.

    Raises:
        DataError: if the store does not answer.
    """
    photo_id = listed.photo_id
    key, record_key = listed.photo_key, listed.metadata_key
    if key is None:
        detail = f"there is no {PHOTOS}/{photo_id}.jpg"
        return reject(photo_id, str(record_key), "missing-photo", detail)
    if record_key is None:
        detail = f"there is no {METADATA}/{photo_id}.json"
        return reject(photo_id, key, "missing-metadata", detail)
    text = _read(store, photo_id, record_key, listed.metadata, "missing-metadata")
    if isinstance(text, Reject):
        return text
    try:
        record = metadata.parse(text)
    except DataError as err:
        return reject(photo_id, record_key, "bad-metadata", str(err))
    if record.count not in counts:
        return LeftOut(photo_id=photo_id, count=record.count)
    photo = _read(store, photo_id, key, listed.photo, "missing-photo")
    if isinstance(photo, Reject):
        return photo
    try:
        with turn or nullcontext():
            row = _checked(photo, side_px, squash)
    except DataError as err:
        return reject(photo_id, key, "unreadable", str(err))
    return {
        "photo_id": photo_id,
        "count": record.count,
        "items": record.items,
        "source": key,
        **row,
    }


def digest(rows: Callable[[], Iterable[tuple[str, str]]]) -> str:
    """SHA-256, hex, over (photo_id, sha256) pairs; the same whatever their order.

    Args:
        rows: gives the pairs; asked a second time, to sort them, where their lines do not rise.
    """

    def lines() -> Iterator[str]:
        return (f"{photo_id} {sha256}\n" for photo_id, sha256 in rows())

    made, last = hashlib.sha256(), ""
    for line in lines():
        if line < last:
            return hashlib.sha256("".join(sorted(lines())).encode()).hexdigest()
        made.update(line.encode())
        last = line
    return made.hexdigest()


def _read(
    store: Reader, photo_id: str, key: str, listed: Entry | None, missing: str
) -> bytes | Reject:
    try:
        return store.read(key, listed=listed)
    except (Missing, Refused, Garbled, Unanswered) as err:
        return reject(photo_id, key, REASON.get(type(err), missing), str(err))


REASON = {Refused: "refused", Garbled: "damaged", Unanswered: "unanswered"}
"""Reason words of what the store could not give."""


def _checked(photo: bytes, side_px: int, squash: bool) -> dict[str, Any]:
    """The columns of photos/1 that follow from the photo's bytes, decoded whole."""
    if not side_px:
        width_px, height_px = size_of_sound(photo)
    else:
        pixels = decode(photo)  # (H, W, 3)
        height_px, width_px = pixels.shape[:2]
        wanted = _size(width_px, height_px, side_px=side_px, squash=squash)
        if wanted != (width_px, height_px):
            photo = _shrunk(pixels, wanted)
            width_px, height_px = wanted
    return {
        "jpeg": photo,
        "width_px": width_px,
        "height_px": height_px,
        "sha256": hashlib.sha256(photo).hexdigest(),
    }


def _size(width_px: int, height_px: int, *, side_px: int, squash: bool) -> tuple[int, int]:
    """(width_px, height_px) of the photo to keep; no side ever grows."""
    if squash:
        return min(width_px, side_px), min(height_px, side_px)
    scale = min(1.0, side_px / min(width_px, height_px))
    return round(width_px * scale), round(height_px * scale)


def _shrunk(pixels: Any, size: tuple[int, int]) -> bytes:
    """A JPEG of that (width_px, height_px)."""
    from PIL import Image

    made = io.BytesIO()
    small = Image.fromarray(pixels).resize(size, Image.Resampling.LANCZOS)
    small.save(made, "JPEG", quality=SHRUNK_QUALITY)
    return made.getvalue()
