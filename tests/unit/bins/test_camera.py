import numpy as np
import pytest
from PIL import Image

from stocktake.bins import camera


def spread(row):
    """Standard deviation of a spot, pixels."""
    x = np.arange(len(row))
    mean = (x * row).sum() / row.sum()
    return ((row * (x - mean) ** 2).sum() / row.sum()) ** 0.5


@pytest.mark.parametrize("sigma", [0.4, 0.7, 1.2, 2.5, 4.0])
@pytest.mark.parametrize("axis", [0, 1])
def test_a_spot_is_spread_along_one_axis_by_sigma(sigma, axis):
    spot = np.zeros((61, 61), dtype=np.uint16)
    spot[30, 30] = 500
    soft = camera.blurred(spot, sigma, axis=axis).astype(float)

    assert spread(soft.sum(axis=1 - axis)) == pytest.approx(sigma, rel=0.12, abs=0.05)
    assert soft.any(axis=axis).sum() == 1


def test_a_flat_wall_stays_flat_to_its_edges():
    wall = np.full((20, 30), 137, dtype=np.uint16)

    assert (camera.blurred(wall, 2.0, axis=0) == 137).all()
    assert (camera.blurred(wall, 2.0, axis=1, stride=3) == 137).all()


def test_colours_do_not_run_into_each_other():
    picture = np.zeros((9, 30), dtype=np.uint16)
    picture[:, ::3] = 200  # red everywhere, no green, no blue
    soft = camera.blurred(picture, 1.5, axis=1, stride=3).reshape(9, 10, 3)

    assert (soft[..., 0] == 200).all()
    assert not soft[..., 1:].any()


def test_no_sigma_changes_nothing():
    noise = np.random.default_rng(0).integers(0, 300, (12, 15), dtype=np.uint16)

    assert (camera.blurred(noise, 0.0, axis=0) == noise).all()


def canvas(shade):
    return Image.new("RGB", (200, 150), (shade, shade, shade))


def test_photos_are_dim_warm_and_never_quite_black():
    white = np.mean([camera.taken(canvas(255), seed=n, scale=1).mean((0, 1)) for n in range(40)], 0)
    black = np.mean([camera.taken(canvas(0), seed=n, scale=1).mean((0, 1)) for n in range(40)], 0)

    assert white == pytest.approx(camera.WHITE, abs=14)
    assert black == pytest.approx(camera.BLACK, abs=6)


def test_a_seed_is_a_photo_and_the_next_is_another():
    first = camera.taken(canvas(128), seed=1, scale=1)

    assert np.array_equal(first, camera.taken(canvas(128), seed=1, scale=1))
    assert not np.array_equal(first, camera.taken(canvas(128), seed=2, scale=1))


def test_exposure_differs_from_photo_to_photo():
    means = [camera.taken(canvas(200), seed=n, scale=1).mean() for n in range(60)]

    assert 8 < np.std(means) < 40


def test_the_largest_photos_have_noise_all_over():
    large = camera.taken(Image.new("RGB", (785, 1069), (90, 90, 90)), seed=3, scale=1)

    assert large.shape == (1069, 785, 3)
    assert large[-50:, -50:].std() > 0.5
