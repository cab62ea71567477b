"""Decode: the bytes of one JPEG, PNG or WEBP file become an RGB array, or one clear line.

JPEGs go through simplejpeg, 1.4 to 1.7 times as fast as Pillow; all else, and
every JPEG that it finds fault with, through Pillow.
"""

import io
import struct
import zlib
from collections.abc import Callable
from contextlib import suppress

import numpy as np
import simplejpeg
from numpy.typing import NDArray
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging.bombs import MAX_PIXELS, check_blocks, check_size

FORMATS = ("JPEG", "PNG", "WEBP")

_END_OF_JPEG = b"\xff\xd9"
_ORIENTATION = 0x0112  # EXIF tag
_TURNS = {  # how to set a photo upright, by its EXIF orientation; 1 is upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
_BROKEN = (  # what Pillow raises on hostile bytes, found by cutting and flipping bytes
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    KeyError,
    IndexError,
    EOFError,
    OverflowError,
    AssertionError,  # a PNG with a palette that it lacks
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


def decode(photo: bytes, *, max_pixels: int = MAX_PIXELS) -> NDArray[np.uint8]:
    """The photo as uint8 (H, W, 3), RGB, upright as its EXIF orientation says.

    Transparent parts become white; of an animation, the first frame is taken.

    Args:
        photo: the whole file.
        max_pixels: larger photos are refused before they are unpacked; PNG and WEBP beyond half.

    Raises:
        DataError: if it is empty, not JPEG, PNG or WEBP, cut short, damaged or too large.
    """
    return np.asarray(decode_near(photo, max_pixels=max_pixels))


def size_of(photo: bytes) -> tuple[int, int]:
    """(width_px, height_px) of the photo as `decode` would give it; reads the header only.

    Raises:
        DataError: if it is empty, not JPEG, PNG or WEBP, too large, or its header is damaged.
    """
    opened = _open(photo, MAX_PIXELS)
    width_px, height_px = opened.size
    return (height_px, width_px) if _orientation(opened) >= 5 else (width_px, height_px)


def decode_near(
    photo: bytes, *, at_least_px: int | None = None, max_pixels: int = MAX_PIXELS
) -> Image.Image:
    """The photo as a Pillow RGB image, for a resize that follows at once.

    Args:
        photo: the whole file.
        at_least_px: lets a large JPEG be unpacked at some eighths of its size (1/8 to 7/8), as
            long as both sides keep this many pixels; None unpacks it whole.
        max_pixels: as for `decode`.

    Raises:
        DataError: as `decode`.
    """
    opened = _open(photo, max_pixels)
    if opened.format == "JPEG" and _END_OF_JPEG not in photo[-_TAIL:]:
        raise DataError("photo is cut short: a JPEG without its end mark; send the whole file")
    try:
        turn = _TURNS.get(_orientation(opened))
        upright = _unpacked(opened, photo, at_least_px or 0)
        return upright if turn is None else upright.transpose(turn)
    except _BROKEN as err:
        raise DataError(
            f"photo cannot be decoded ({_line(err)}); expected a whole {opened.format} file"
        ) from err


_TAIL = 65_536
"""Cameras append previews and maker notes after the end mark; it need not be the last two bytes."""


def _unpacked(opened: Image.Image, photo: bytes, at_least_px: int) -> Image.Image:
    """The pixels as RGB, not yet turned; what libjpeg-turbo finds fault with, Pillow decides on."""
    if opened.format == "JPEG" and opened.mode in ("RGB", "L"):
        with suppress(ValueError):
            return Image.fromarray(
                simplejpeg.decode_jpeg(
                    photo, "RGB", min_height=at_least_px, min_width=at_least_px, strict=True
                )
            )
    opened.load()
    return _as_rgb(opened)


def _open(photo: bytes, max_pixels: int) -> Image.Image:
    """The photo with its header read, of a size that can be unpacked."""
    if not photo:
        raise DataError("photo is empty; expected the bytes of a JPEG, PNG or WEBP file")
    check_blocks(photo)
    try:
        opened = Image.open(io.BytesIO(photo), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as err:
        raise DataError(
            f"photo has far more than the {max_pixels:,} pixels that are taken; make it smaller"
        ) from err
    except _BROKEN as err:
        raise DataError(
            f"photo of {len(photo)} bytes is not a JPEG, PNG or WEBP file,"
            f" it begins with {photo[:8]!r}; convert it to JPEG"
        ) from err
    check_size(photo, opened.format or "", opened.size, max_pixels)
    return opened


def _as_rgb(opened: Image.Image) -> Image.Image:
    if opened.mode == "RGB":
        return opened
    if opened.mode.startswith("I"):  # 16-bit PNG, which convert() would clip
        return _by_strips(opened, _from_sixteen_bits)
    if opened.has_transparency_data:
        return _by_strips(opened, _on_white)
    return opened.convert("RGB")


def _by_strips(opened: Image.Image, convert: Callable[[Image.Image], Image.Image]) -> Image.Image:
    """RGB, converted some rows at a time: each copy on the way costs as much as the photo."""
    width_px, height_px = opened.size
    made = Image.new("RGB", opened.size)
    rows = max(1, _STRIP_PIXELS // width_px)
    for top in range(0, height_px, rows):
        strip = opened.crop((0, top, width_px, min(top + rows, height_px)))
        made.paste(convert(strip), (0, top))
    return made


_STRIP_PIXELS = 1_000_000


def _from_sixteen_bits(strip: Image.Image) -> Image.Image:
    grey = (np.asarray(strip).astype(np.uint32) >> 8).astype(np.uint8)
    return Image.fromarray(grey).convert("RGB")


def _on_white(strip: Image.Image) -> Image.Image:
    seen = strip.convert("RGBA")
    white = Image.new("RGBA", seen.size, "white")
    return Image.alpha_composite(white, seen).convert("RGB")


def _orientation(opened: Image.Image) -> int:
    try:
        return int(opened.getexif().get(_ORIENTATION, 1))
    except _BROKEN:
        return 1  # damaged EXIF beside sound pixels: taken as upright


def _line(err: BaseException) -> str:
    return " ".join(str(err).split()) or type(err).__name__
