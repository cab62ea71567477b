import io

import numpy as np
import pytest
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging.decode import decode, decode_near, size_of


def packed(photo: Image.Image, kind: str = "JPEG", **options: object) -> bytes:
    file = io.BytesIO()
    photo.save(file, kind, **options)
    return file.getvalue()


def noise(width_px: int = 40, height_px: int = 30, seed: int = 0) -> Image.Image:
    pixels = np.random.default_rng(seed).integers(0, 256, (height_px, width_px, 3))
    return Image.fromarray(pixels.astype(np.uint8))


def halves(width_px: int = 40, height_px: int = 20) -> Image.Image:
    """Left half red, right half blue."""
    photo = Image.new("RGB", (width_px, height_px), "blue")
    photo.paste("red", (0, 0, width_px // 2, height_px))
    return photo


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_each_kind_becomes_rgb(kind):
    pixels = decode(packed(halves(), kind, quality=95))

    assert pixels.shape == (20, 40, 3)
    assert pixels.dtype == np.uint8
    assert pixels[10, 5, 0] > 200 and pixels[10, 5, 2] < 60
    assert pixels[10, 35, 2] > 200 and pixels[10, 35, 0] < 60


def test_png_is_decoded_without_loss():
    photo = noise()

    assert np.array_equal(decode(packed(photo, "PNG")), np.asarray(photo))


@pytest.mark.parametrize("mode", ["L", "CMYK", "1", "P", "LA", "RGBA"])
def test_other_colour_modes_become_rgb(mode):
    kind = "JPEG" if mode in ("L", "CMYK") else "PNG"

    assert decode(packed(halves().convert(mode), kind)).shape == (20, 40, 3)


def test_sixteen_bit_grey_keeps_its_range():
    ramp = np.linspace(0, 65535, 64 * 64).reshape(64, 64).astype(np.uint16)
    pixels = decode(packed(Image.fromarray(ramp), "PNG"))

    assert pixels.min() == 0 and pixels.max() == 255
    assert abs(float(pixels.mean()) - 127.5) < 1


def test_transparent_parts_are_white():
    photo = Image.new("RGBA", (8, 8), (255, 0, 0, 0))

    assert decode(packed(photo, "PNG")).min() == 255


@pytest.mark.parametrize("mode", ["RGBA", "LA", "P", "I;16"])
def test_converting_by_strips_gives_what_converting_at_once_gives(mode, monkeypatch):
    photo = noise(40, 30)
    if mode == "I;16":
        ramp = np.arange(40 * 30, dtype=np.uint16).reshape(30, 40) * 50
        png = packed(Image.fromarray(ramp), "PNG")
    else:
        photo.putalpha(noise(40, 30, seed=1).convert("L"))
        png = packed(photo.quantize(16) if mode == "P" else photo.convert(mode), "PNG")
    at_once = decode(png)
    monkeypatch.setattr("stocktake.imaging.decode._STRIP_PIXELS", 7 * 40)

    assert np.array_equal(decode(png), at_once)
    assert at_once.std() > 10


def test_orientation_sets_the_photo_upright():
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera was turned: rotate a quarter clockwise
    jpeg = packed(halves(), exif=exif, quality=95)
    pixels = decode(jpeg)

    assert pixels.shape == (40, 20, 3)
    assert pixels[5, 10, 0] > 200, "the left half, red, is now on top"
    assert size_of(jpeg) == (20, 40)


def test_size_is_width_then_height():
    assert size_of(packed(noise(40, 30))) == (40, 30)


@pytest.mark.parametrize(
    ("at_least_px", "unpacked"),
    [(None, (400, 240)), (240, (400, 240)), (160, (300, 180)), (20, (50, 30))],
)
def test_a_jpeg_is_unpacked_at_the_smallest_eighths_that_keep_enough(at_least_px, unpacked):
    assert decode_near(packed(halves(400, 240)), at_least_px=at_least_px).size == unpacked


def test_a_jpeg_is_never_enlarged():
    assert decode_near(packed(halves(40, 20)), at_least_px=64).size == (40, 20)


def test_a_jpeg_has_the_pixels_that_pillow_gives():
    jpeg = packed(noise(75, 41), quality=90)

    assert np.array_equal(decode(jpeg), np.asarray(Image.open(io.BytesIO(jpeg))))


@pytest.mark.parametrize("kept", [0.02, 0.3, 0.6, 0.9, 0.99])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_a_photo_cut_short_is_refused(kind, kept):
    whole = packed(noise(200, 150), kind)

    with pytest.raises(DataError) as caught:
        decode(whole[: int(len(whole) * kept)])
    assert "\n" not in str(caught.value)


def test_a_jpeg_without_its_last_two_bytes_is_refused():
    with pytest.raises(DataError, match="cut short"):
        decode(packed(noise())[:-2])


def test_bytes_after_the_end_of_a_jpeg_do_no_harm():
    assert decode(packed(noise()) + b"maker notes" * 100).shape == (30, 40, 3)


@pytest.mark.parametrize("photo", [b"", b"not a photo", b"\xff\xd8\xff", b"<svg/>"])
def test_other_bytes_are_refused(photo):
    for look in (decode, size_of):
        with pytest.raises(DataError, match="JPEG, PNG or WEBP"):
            look(photo)


def test_a_png_without_the_palette_it_needs_is_refused():
    png = packed(halves().convert("P"), "PNG")
    start = png.index(b"PLTE") - 4
    length = int.from_bytes(png[start : start + 4], "big") + 12

    with pytest.raises(DataError, match="cannot be decoded"):
        decode(png[:start] + png[start + length :])


@pytest.mark.parametrize("kind", ["GIF", "BMP", "TIFF"])
def test_other_kinds_of_photo_are_refused(kind):
    with pytest.raises(DataError, match="not a JPEG, PNG or WEBP"):
        decode(packed(halves(), kind))


def test_a_photo_with_too_many_pixels_is_refused_before_unpacking():
    with pytest.raises(DataError, match="40 x 30 pixels, at most 1,199"):
        decode(packed(noise(40, 30)), max_pixels=1199)


@pytest.mark.filterwarnings("ignore:.*EXIF.*", "ignore:Tag data")
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
def test_damaged_bytes_never_raise_anything_but_data_error(kind):
    rng = np.random.default_rng(5)
    exif = Image.Exif()
    exif[0x0112] = 3
    whole = packed(noise(32, 24), kind, exif=exif)
    for _ in range(300):
        broken = bytearray(whole)
        for place in rng.integers(0, min(len(whole), 400), size=rng.integers(1, 8)):
            broken[place] = rng.integers(0, 256)
        try:
            assert decode(bytes(broken)).ndim == 3
            size_of(bytes(broken))
        except DataError as err:
            assert "\n" not in str(err)
