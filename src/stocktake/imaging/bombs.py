"""Bombs: files of few bytes that would take minutes or gigabytes to decode, refused beforehand.

Every check looks at bytes only and costs about a microsecond on a photo of usual size. Marks are
counted wherever they stand, never by walking from one to the next: whoever builds a bomb can lead
a walker astray, but cannot hide a mark that the decoder is to find.
"""

from stocktake.errors import DataError

MAX_PIXELS = 50_000_000
"""Pixels of one JPEG. It can be unpacked at an eighth of its size, so phones' 50 megapixels are
taken."""
WHOLE_SHARE = 2
"""PNG and WEBP must be unpacked whole, WEBP into four copies: they may have half as many pixels,
400 MB at worst instead of 800."""
MAX_EXIF_BLOCKS = 100
"""A JPEG has one, and one in each preview. Pillow joins them in time that grows by their square:
100,000 of them, 2 MB, took 4 s."""
MAX_SCANNED = 5_000_000_000
"""Pixels times scans of one JPEG. A progressive one is unpacked once per scan; a scan may have ten
bytes, so that half a megabyte took 21 s. Encoders make about ten; this many take about 2 s."""

_JPEG, _EXIF, _SCAN = b"\xff\xd8", b"Exif\0\0", b"\xff\xda"
_HARMLESS = 250_000
"""Bytes of a JPEG whose blocks, be they as many as fit, are joined in a tenth of a second."""
_SHORTEST_SCAN = 10
"""Bytes of a scan of one component that holds nothing: mark, length, header."""


def check_blocks(photo: bytes) -> None:
    """Hold a file that nobody has opened yet to its number of EXIF blocks.

    Raises:
        DataError: if it is a JPEG with more than MAX_EXIF_BLOCKS.
    """
    if len(photo) < _HARMLESS or not photo.startswith(_JPEG):
        return
    if (found := photo.count(_EXIF)) > MAX_EXIF_BLOCKS:
        raise DataError(
            f"photo has {found:,} EXIF blocks, at most {MAX_EXIF_BLOCKS} are taken;"
            " save it again without them"
        )


def check_size(photo: bytes, kind: str, size: tuple[int, int], max_pixels: int) -> None:
    """Hold a photo to a size that can be unpacked, before it is.

    Args:
        photo: the whole file.
        kind: "PNG", "WEBP" or one of the JPEG family.
        size: (width_px, height_px) from its header.
        max_pixels: pixels of a JPEG; others may have 1/WHOLE_SHARE of it.

    Raises:
        DataError: if it has more pixels, or a JPEG more scans, than are taken.
    """
    width_px, height_px = size
    pixels = width_px * height_px
    most = max_pixels // WHOLE_SHARE if kind in ("PNG", "WEBP") else max_pixels
    if pixels > most:
        raise DataError(
            f"photo has {width_px} x {height_px} pixels, at most {most:,} are taken of a {kind};"
            " make it smaller"
        )
    most_scans = len(photo) // _SHORTEST_SCAN  # few need the count, which takes 0.1 ms
    if not photo.startswith(_JPEG) or pixels * most_scans <= MAX_SCANNED:
        return
    if pixels * (scans := photo.count(_SCAN)) > MAX_SCANNED:
        raise DataError(
            f"photo has {width_px} x {height_px} pixels in {scans:,} scans, at most"
            f" {MAX_SCANNED // pixels} are taken of that size; save it as a baseline JPEG"
        )
