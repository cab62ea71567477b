"""Source: listed photos, fetched and checked, many at a time, in the order of the listing."""

import hashlib
import io
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from threading import BoundedSemaphore
from typing import Any, TypeAlias

from stocktake.data import metadata
from stocktake.data.counts import Counts
from stocktake.data.listing import METADATA, PHOTOS, Listed, Reject, reject
from stocktake.errors import DataError
from stocktake.imaging.decode import decode
from stocktake.runs.machine import cores
from stocktake.store.objects import Missing, Refused, Store

MAX_BYTES = 50_000_000
"""A photo file above this is refused; bin photos have about 60 kB, the largest 200 kB."""
SHRUNK_QUALITY = 90
"""JPEG quality of shrunk photos."""


@dataclass(frozen=True, kw_only=True, slots=True)
class LeftOut:
    """One listed photo whose count was not asked for."""

    photo_id: str
    count: int


Outcome: TypeAlias = dict[str, Any] | Reject | LeftOut
"""What a listed photo came to: a row of photos/1, or why it is none."""


def fetch_all(
    store: Store,
    photos: Sequence[Listed],
    *,
    counts: Counts,
    side_px: int = 0,
    in_flight: int = 16,
) -> Iterator[Outcome]:
    """The outcome of every listed photo, in their order; as many wait in memory as are in flight.

    Args:
        store: where they are.
        photos: which ones.
        counts: the counts that are asked for.
        side_px: see `fetch`.
        in_flight: photos fetched at once.

    Raises:
        DataError: if the store does not answer.
    """
    # Many wait for the store, few decode: a decoding thread takes 20 MB, and cores are few.
    turn = BoundedSemaphore(cores())

    def one(listed: Listed) -> Outcome:
        return fetch(store, listed, counts=counts, side_px=side_px, turn=turn)

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
            for future in ahead:
                future.cancel()


def fetch(
    store: Store,
    listed: Listed,
    *,
    counts: Counts,
    side_px: int = 0,
    turn: AbstractContextManager[Any] | None = None,
) -> Outcome:
    """One photo as a row of photos/1, or why it is none.

    The metadata is read first: a photo whose count is not asked for is not fetched.

    Args:
        store: where it is.
        listed: which one.
        counts: the counts that are asked for.
        side_px: shrink photos so that the short side has this many pixels; 0 keeps their bytes.
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
    text = _read(store, photo_id, record_key, "missing-metadata")
    if isinstance(text, Reject):
        return text
    try:
        record = metadata.parse(text)
    except DataError as err:
        return reject(photo_id, record_key, "bad-metadata", str(err))
    if record.count not in counts:
        return LeftOut(photo_id=photo_id, count=record.count)
    photo = _read(store, photo_id, key, "missing-photo")
    if isinstance(photo, Reject):
        return photo
    try:
        with turn or nullcontext():
            row = _checked(photo, side_px)
    except DataError as err:
        return reject(photo_id, key, "unreadable", str(err))
    return {
        "photo_id": photo_id,
        "count": record.count,
        "items": record.items,
        "source": key,
        **row,
    }


def digest(rows: Iterable[tuple[str, str]]) -> str:
    """SHA-256, hex, over (photo_id, sha256) pairs; the same whatever their order."""
    lines = sorted(f"{photo_id} {sha256}\n" for photo_id, sha256 in rows)
    return hashlib.sha256("".join(lines).encode()).hexdigest()


def _read(store: Store, photo_id: str, key: str, missing: str) -> bytes | Reject:
    try:
        return store.read(key)
    except Missing as err:
        return reject(photo_id, key, missing, str(err))
    except Refused as err:
        return reject(photo_id, key, "refused", str(err))


def _checked(photo: bytes, side_px: int) -> dict[str, Any]:
    """The columns of photos/1 that follow from the photo's bytes, decoded whole."""
    if len(photo) > MAX_BYTES:
        raise DataError(f"photo has {len(photo):,} bytes, at most {MAX_BYTES:,} are taken")
    pixels = decode(photo)  # (H, W, 3)
    height_px, width_px = pixels.shape[:2]
    if 0 < side_px < min(width_px, height_px):
        photo, width_px, height_px = _shrunk(pixels, side_px)
    return {
        "jpeg": photo,
        "width_px": width_px,
        "height_px": height_px,
        "sha256": hashlib.sha256(photo).hexdigest(),
    }


def _shrunk(pixels: Any, side_px: int) -> tuple[bytes, int, int]:
    """JPEG, width and height with the short side at side_px and the aspect kept."""
    from PIL import Image

    seen = Image.fromarray(pixels)
    scale = side_px / min(seen.size)
    width_px, height_px = (max(side_px, round(side * scale)) for side in seen.size)
    made = io.BytesIO()
    small = seen.resize((width_px, height_px), Image.Resampling.LANCZOS)
    small.save(made, "JPEG", quality=SHRUNK_QUALITY)
    return made.getvalue(), width_px, height_px
