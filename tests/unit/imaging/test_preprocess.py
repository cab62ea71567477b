import io

import numpy as np
import pytest
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging.preprocess import Preprocessing, normalise, prepare

LITE = Preprocessing(side_px=32, mean=(0.5, 0.5, 0.5), std=(0.5, 0.5, 0.5))


def smooth(width_px: int, height_px: int) -> Image.Image:
    across = np.linspace(0, 255, width_px)[None, :, None] * np.ones((height_px, 1, 3))
    across[..., 1] = np.linspace(0, 255, height_px)[:, None]
    return Image.fromarray(across.astype(np.uint8))


def jpeg(photo: Image.Image) -> bytes:
    file = io.BytesIO()
    photo.save(file, "JPEG", quality=95)
    return file.getvalue()


def test_a_photo_is_squashed_not_cropped():
    photo = Image.new("RGB", (120, 40), "black")
    photo.paste("white", (0, 0, 20, 40))  # the left sixth, which a centre crop would lose
    pixels = prepare(jpeg(photo), 48)

    assert pixels.shape == (48, 48, 3)
    assert pixels.dtype == np.uint8
    assert pixels[24, 2].min() > 200
    assert 0.12 < (pixels[..., 0] > 128).mean() < 0.22


def test_a_photo_of_the_right_size_is_only_decoded():
    photo = Image.fromarray(np.random.default_rng(0).integers(0, 256, (32, 32, 3)).astype(np.uint8))
    file = io.BytesIO()
    photo.save(file, "PNG")

    assert np.array_equal(prepare(file.getvalue(), 32), np.asarray(photo))


def test_unpacking_a_large_jpeg_at_a_fraction_changes_little():
    large = smooth(1000, 800)
    exact = np.asarray(large.resize((64, 64), Image.Resampling.BILINEAR)).astype(int)

    assert np.abs(prepare(jpeg(large), 64).astype(int) - exact).mean() < 1.5


def test_a_small_photo_is_enlarged():
    assert prepare(jpeg(smooth(10, 8)), 64).shape == (64, 64, 3)


def test_normalise_puts_channels_first_and_scales():
    photos = np.zeros((2, 32, 32, 3), dtype=np.uint8)
    photos[1, :, :, 0] = 255
    planes = normalise(photos, LITE)

    assert planes.shape == (2, 3, 32, 32)
    assert planes.dtype == np.float32
    assert np.allclose(planes[0], -1) and np.allclose(planes[1, 0], 1, atol=1e-6)


def test_normalise_agrees_with_the_textbook_formula():
    preprocessing = Preprocessing(side_px=8, mean=(0.485, 0.456, 0.406), std=(0.229, 0.224, 0.225))
    photos = np.random.default_rng(1).integers(0, 256, (3, 8, 8, 3)).astype(np.uint8)
    wanted = (photos / 255 - preprocessing.mean) / preprocessing.std

    assert np.allclose(normalise(photos, preprocessing), wanted.transpose(0, 3, 1, 2), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 16, 16, 3), (1, 3, 32, 32), (32, 32, 3)])
def test_normalise_refuses_other_shapes(shape):
    with pytest.raises(DataError, match=r"expected uint8 \(B, 32, 32, 3\)"):
        normalise(np.zeros(shape, dtype=np.uint8), LITE)


def test_normalise_refuses_floats():
    with pytest.raises(DataError, match="float32"):
        normalise(np.zeros((1, 32, 32, 3), dtype=np.float32), LITE)  # type: ignore[arg-type]


def test_preprocessing_survives_json():
    assert Preprocessing.from_dict(LITE.to_dict()) == LITE
    assert LITE.to_dict() == {"side_px": 32, "mean": [0.5] * 3, "std": [0.5] * 3}


@pytest.mark.parametrize(
    "change",
    [{"mean": [0.5]}, {"std": [0.5, 0.5, 0]}, {"side_px": 0}, {"side_px": None}, {"std": "wide"}],
)
def test_bad_preprocessing_is_refused(change):
    with pytest.raises(DataError, match="preprocessing"):
        Preprocessing.from_dict({**LITE.to_dict(), **change})


def test_a_broken_photo_is_refused():
    with pytest.raises(DataError):
        prepare(b"nothing", 32)
