import numpy as np
import pytest
from drawn import Drawn

from stocktake.errors import DataError
from stocktake.imaging.preprocess import prepare
from stocktake.testing.samples import squares
from stocktake.vision.pixels import Pixels

IDS = [f"{i:03d}" for i in range(23)]


def test_pixels_are_what_serving_prepares():
    made = Pixels(Drawn(), IDS, side_px=24).take(["007", "002"])

    assert np.array_equal(made[0], prepare(squares(3, seed=7), 24))
    assert np.array_equal(made[1], prepare(squares(2, seed=2), 24))


def test_photos_that_fit_are_decoded_once():
    source = Drawn()
    pixels = Pixels(source, IDS, side_px=32)

    assert np.array_equal(pixels.take(IDS), pixels.take(IDS))
    assert source.asked == IDS


def test_what_is_taken_is_a_copy():
    pixels = Pixels(Drawn(), IDS, side_px=32)
    before = pixels.take(IDS)
    pixels.take(IDS)[:] = 0

    assert np.array_equal(pixels.take(IDS), before)


def test_photos_beyond_the_budget_are_decoded_again_and_the_same():
    source = Drawn()
    kept, fresh = (
        Pixels(source, IDS, side_px=32, cache_bytes=size) for size in (23 * 3 * 32 * 32, 70_000)
    )

    assert kept.is_cached and not fresh.is_cached
    assert np.array_equal(kept.take(IDS[3:9]), fresh.take(IDS[3:9]))
    assert np.array_equal(fresh.take(IDS[:2]), fresh.take(IDS[:2]))
    assert source.asked.count("000") == 2


def test_a_broken_photo_is_named():
    pixels = Pixels(Drawn(), ["001", "bad"], side_px=32)

    with pytest.raises(DataError, match="photo bad: .*ingest the photos again"):
        pixels.take(["001", "bad"])
