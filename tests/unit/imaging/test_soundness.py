import io

import numpy as np
import pytest
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging import soundness
from stocktake.imaging.decode import decode
from stocktake.imaging.soundness import size_of_sound

CAMERA_TURNED = 6
EXIF = Image.Exif()
EXIF[0x0112] = CAMERA_TURNED
WAYS = {
    "plain": {"quality": 85},
    "fine": {"quality": 95, "subsampling": 0},
    "progressive": {"progressive": True},
    "restarts": {"restart_marker_rows": 1},
    "turned": {"exif": EXIF},
    "grey": {"mode": "L"},
    "four inks": {"mode": "CMYK"},
    "png": {"kind": "PNG"},
    "webp": {"kind": "WEBP"},
}


def photo_of(*, kind: str = "JPEG", mode: str = "RGB", **options: object) -> bytes:
    coarse = np.random.default_rng(0).integers(0, 256, size=(8, 10, 3)).astype(np.uint8)
    file = io.BytesIO()
    photo = Image.fromarray(coarse).resize((61, 47), Image.Resampling.BICUBIC).convert(mode)
    photo.save(file, kind, **options)
    return file.getvalue()


def told(look: object, photo: bytes) -> tuple[int, int] | str:
    """What it says of a photo: (width_px, height_px), or its error's line."""
    try:
        found = look(photo)  # type: ignore[operator]
    except DataError as err:
        return str(err)
    return (found.shape[1], found.shape[0]) if isinstance(found, np.ndarray) else found


@pytest.mark.parametrize("way", WAYS)
def test_the_size_is_that_of_the_decoded_photo(way):
    photo = photo_of(**WAYS[way])

    assert size_of_sound(photo) == told(decode, photo)


@pytest.mark.parametrize("way", WAYS)
def test_a_photo_cut_anywhere_is_refused_as_decoding_refuses_it(way):
    photo = photo_of(**WAYS[way])
    for kept in range(0, len(photo), 7):
        for cut in (photo[:kept], photo[:kept] + photo[-2:]):
            assert told(size_of_sound, cut) == told(decode, cut), kept


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("way", WAYS)
def test_flipped_bits_are_judged_as_decoding_judges_them(way):
    """Among them damage to the EXIF block, which decoding ignores: it must not turn the size."""
    photo, rng = photo_of(**WAYS[way]), np.random.default_rng(1)
    for _ in range(600):
        flipped = bytearray(photo)
        for place in rng.integers(0, len(photo), size=rng.integers(1, 4)):
            flipped[place] ^= 1 << int(rng.integers(0, 8))
        damaged = bytes(flipped)
        assert told(size_of_sound, damaged) == told(decode, damaged)


def test_a_sound_jpeg_is_not_decoded_at_full_size(monkeypatch):
    monkeypatch.setattr(soundness, "decode", None)

    assert size_of_sound(photo_of(quality=85)) == (61, 47)
