"""Looks: every photo decoded once, small, and what can be said of its pixels kept."""

import zlib
from collections import deque
from collections.abc import Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from hashlib import blake2b
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stocktake.data.colours import some_pixels
from stocktake.errors import DataError
from stocktake.imaging.decode import decode_near

if TYPE_CHECKING:
    from stocktake.store.shards import PhotoShards

SIDE_PX = 224
"""Short side that photos are looked at with; smaller ones as they are."""
DARK, BRIGHT = 4, 251
"""Luma up to here, or from here on, of 0 to 255, is clipped: JPEG blurs the very ends."""
WAITING = 16
"""Looks begun and not yet taken, per worker: memory is bounded by them."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Look:
    """What one decoding of a photo tells."""

    photo_id: str
    size_bytes: int
    sharpness: float
    """Variance of the Laplacian of luma, 0 to 255, at SIDE_PX; low for a blurred or bare photo."""
    luma: float
    """Mean luma (ITU-R BT.601, of gamma-coded values), 0 black to 1 white."""
    contrast: float
    """Standard deviation of luma, 0 to 0.5."""
    dark: float
    """Share of pixels clipped at black."""
    bright: float
    """Share of pixels clipped at white."""
    digest: bytes
    """Of the small photo's luma: those of equal photos are equal."""
    pixels: NDArray[np.uint8]
    """uint8 (P, 3), RGB, from random places."""

    def without_pixels(self) -> "Look":
        """The same without the pixels: what is kept of many."""
        return replace(self, pixels=self.pixels[:0].copy())


@dataclass(frozen=True, kw_only=True, slots=True)
class Unseen:
    """A photo that could not be decoded, and why."""

    photo_id: str
    size_bytes: int | None
    """None if even its bytes could not be read."""
    error: str


def look_at(photo_id: str, jpeg: bytes, *, pixels: int, seed: int) -> Look:
    """A look at one photo.

    Args:
        photo_id: its id; with the seed it decides which pixels are kept.
        jpeg: the whole file.
        pixels: how many are kept, 0 or more.
        seed: of the choice.

    Raises:
        DataError: if it cannot be decoded.
    """
    small = shrunk(decode_near(jpeg, at_least_px=SIDE_PX))
    luma = np.asarray(small.convert("L"))  # (H, W)
    often = np.bincount(luma.ravel(), minlength=256)
    levels = np.arange(256) / 255
    mean = float(often @ levels) / luma.size
    rgb = np.asarray(small)  # (H, W, 3)
    return Look(
        photo_id=photo_id,
        size_bytes=len(jpeg),
        sharpness=sharpness(luma),
        luma=mean,
        contrast=float(np.sqrt(often @ (levels - mean) ** 2 / luma.size)),
        dark=float(often[: DARK + 1].sum() / luma.size),
        bright=float(often[BRIGHT:].sum() / luma.size),
        digest=blake2b(luma.data, digest_size=16).digest(),
        pixels=some_pixels(rgb, pixels, seed=[seed, zlib.crc32(photo_id.encode())]),
    )


def shrunk(photo: Image.Image) -> Image.Image:
    """The photo with its short side at SIDE_PX, aspect kept; never enlarged."""
    by = SIDE_PX / min(photo.size)
    if by >= 1:
        return photo
    width_px, height_px = (max(round(side * by), 1) for side in photo.size)
    return photo.resize((width_px, height_px), Image.Resampling.BOX)


def sharpness(luma: NDArray[np.uint8]) -> float:
    """Variance of the Laplacian (Pech-Pacheco et al. 2000), of uint8 (H, W); 0 under 3 x 3."""
    if min(luma.shape) < 3:
        return 0.0
    deep = luma.astype(np.int16)
    edges = deep[:-2, 1:-1] + deep[2:, 1:-1] + deep[1:-1, :-2] + deep[1:-1, 2:]
    edges -= 4 * deep[1:-1, 1:-1]
    flat = edges.ravel().astype(np.float32)
    return float(flat @ flat) / flat.size - float(flat.mean(dtype=np.float64)) ** 2


def look_at_all(
    shards: "PhotoShards", pixels_of: Mapping[str, int], *, workers: int, seed: int
) -> Iterator[Look | Unseen]:
    """A look at every photo in order of id, a few at once; one that fails costs only itself.

    Args:
        shards: the photos.
        pixels_of: pixels to keep by photo id; none of others.
        workers: threads: decoding lets go of Python's lock.
        seed: of the pixels' places.
    """

    begun: deque[Future[Look | Unseen]] = deque()
    with ThreadPoolExecutor(workers, thread_name_prefix="look") as pool:
        try:
            for photo_ids, read in shards.groups():
                try:
                    jpegs = read()
                except DataError as err:
                    while begun:
                        yield begun.popleft().result()
                    yield from (
                        Unseen(photo_id=i, size_bytes=None, error=str(err)) for i in photo_ids
                    )
                    continue
                for photo_id, jpeg in zip(photo_ids, jpegs, strict=True):
                    pixels = pixels_of.get(photo_id, 0)
                    begun.append(pool.submit(_try, photo_id, jpeg, pixels=pixels, seed=seed))
                    if len(begun) > WAITING * workers:
                        yield begun.popleft().result()
            while begun:
                yield begun.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _try(photo_id: str, jpeg: bytes, *, pixels: int, seed: int) -> Look | Unseen:
    try:
        return look_at(photo_id, jpeg, pixels=pixels, seed=seed)
    except DataError as err:
        return Unseen(photo_id=photo_id, size_bytes=len(jpeg), error=str(err))
