import io
import struct
import time
import zlib

import pytest
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging import bombs
from stocktake.imaging.decode import decode, size_of
from stocktake.imaging.soundness import size_of_sound

LOOKS = (decode, size_of, size_of_sound)


def packed(kind: str, size: tuple[int, int] = (64, 48), **options: object) -> bytes:
    file = io.BytesIO()
    Image.new("RGB", size, (90, 120, 40)).save(file, kind, **options)
    return file.getvalue()


def png_that_says(width_px: int, height_px: int) -> bytes:
    """A PNG of no pixels whose header announces some."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    header = struct.pack(">IIBBBBB", width_px, height_px, 8, 2, 0, 0, 0)
    pixels = zlib.compress(b"")
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        chunk(name, data) for name, data in ((b"IHDR", header), (b"IDAT", pixels), (b"IEND", b""))
    )


def jpeg_that_says(width_px: int, height_px: int) -> bytes:
    return packed("JPEG").replace(
        struct.pack(">HH", 48, 64), struct.pack(">HH", height_px, width_px)
    )


def with_scans(photo: bytes, more: int) -> bytes:
    """A progressive JPEG with that many more scans, which hold nothing."""
    scan = b"\xff\xda\x00\x08\x01\x01\x00\x01\x3f\x00"  # luma, coefficients 1 to 63
    return photo[:-2] + scan * more + photo[-2:]


@pytest.mark.parametrize("look", LOOKS)
@pytest.mark.parametrize(
    "photo",
    [
        png_that_says(60_000, 60_000),
        png_that_says(5_001, 5_000),
        jpeg_that_says(65_000, 65_000),
        jpeg_that_says(7_100, 7_100),
        packed("WEBP", (16_000, 5_000), lossless=True, method=0),
    ],
    ids=["PNG far", "PNG just", "JPEG far", "JPEG just", "WEBP"],
)
def test_too_many_pixels_are_refused_from_the_header_alone(look, photo):
    started = time.perf_counter()
    with pytest.raises(DataError, match="pixels") as caught:
        look(photo)

    assert "make it smaller" in str(caught.value) and "\n" not in str(caught.value)
    assert time.perf_counter() - started < 1


def test_a_jpeg_may_have_twice_as_many_pixels_as_the_others():
    bombs.check_size(b"\xff\xd8", "JPEG", (10, 10), 100)
    bombs.check_size(b"", "PNG", (10, 5), 100)
    with pytest.raises(DataError, match="at most 50 are taken of a WEBP"):
        bombs.check_size(b"", "WEBP", (10, 6), 100)


def test_a_progressive_jpeg_of_usual_scans_is_taken_whatever_its_size():
    photo = packed("JPEG", (8000, 6000), progressive=True)

    assert size_of(photo) == (8000, 6000)


@pytest.mark.parametrize("look", LOOKS)
def test_a_jpeg_of_many_scans_is_refused_before_they_are_unpacked(look):
    bomb = with_scans(packed("JPEG", (8000, 6000), progressive=True), 1000)
    started = time.perf_counter()
    with pytest.raises(DataError, match="in 1,01. scans, at most 104 are taken of that size"):
        look(bomb)

    assert time.perf_counter() - started < 1


def test_a_small_jpeg_may_have_many_scans():
    assert decode(with_scans(packed("JPEG", progressive=True), 1000)).shape == (48, 64, 3)


@pytest.mark.parametrize("look", LOOKS)
def test_many_exif_blocks_are_refused_before_they_are_joined(look):
    photo, block = packed("JPEG"), b"\xff\xe1\x00\x12Exif\0\0" + b"x" * 10
    started = time.perf_counter()
    with pytest.raises(DataError, match="has 100,000 EXIF blocks, at most 100"):
        look(photo[:2] + block * 100_000 + photo[2:])

    assert time.perf_counter() - started < 1
    assert decode(photo[:2] + block * 100 + photo[2:]).shape == (48, 64, 3)
