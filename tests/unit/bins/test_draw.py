import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, JpegImagePlugin

from stocktake.bins import draw


def pixels(jpeg):
    return np.asarray(Image.open(io.BytesIO(jpeg)))


def test_every_counted_item_shows_in_the_photo(scenes):
    """Take one item away and the photo changes, through bands, blur and all."""
    some = [next(found for found in scenes if found.count == count) for count in range(1, 11)]
    for found in some:
        whole = draw.photo(found).astype(int)
        for gone in range(found.count):
            items = found.items[:gone] + found.items[gone + 1 :]
            without = draw.photo(replace(found, items=items)).astype(int)
            changed = np.abs(whole - without).max(axis=2) > 8

            assert changed.sum() > 80, f"item {gone} of photo {found.photo_id}"


def test_a_photo_has_the_size_of_its_scene(scenes):
    for found in scenes[:5]:
        width, height = found.size_px

        assert draw.photo(found).shape == (height, width, 3)
        assert pixels(draw.jpeg(found)).shape == (height, width, 3)


def test_the_longer_side_can_be_set(scenes):
    wide = next(found for found in scenes if found.size_px[0] > 1.2 * found.size_px[1])
    high = next(found for found in scenes if found.size_px[1] > 1.2 * found.size_px[0])

    assert draw.photo(wide, long_side_px=128).shape[1] == 128
    assert draw.photo(high, long_side_px=128).shape[0] == 128


def test_a_small_photo_looks_like_the_large_one_shrunk(scenes):
    """Threads and letters fall otherwise on the pixels, and large faces are painted coarser."""
    apart = []
    for found in scenes[:8]:
        small = draw.photo(found, long_side_px=200)
        size = (small.shape[1], small.shape[0])
        shrunk = np.asarray(Image.fromarray(draw.photo(found)).resize(size, Image.Resampling.BOX))
        apart.append(np.abs(small.astype(int) - shrunk).mean())

    assert np.mean(apart) < 11 and max(apart) < 18


def test_the_same_scene_is_the_same_bytes(scenes):
    assert draw.jpeg(scenes[7]) == draw.jpeg(scenes[7])


def test_siblings_are_photos_of_their_own(scenes):
    before, after = next((a, b) for a, b in zip(scenes, scenes[1:], strict=False)
                         if a.group == b.group)  # fmt: skip

    assert draw.jpeg(before) != draw.jpeg(after)


def test_jpegs_are_coded_as_abids_are(scenes):
    photo = Image.open(io.BytesIO(draw.jpeg(scenes[0])))
    plain = io.BytesIO()
    Image.new("RGB", (16, 16)).save(plain, "JPEG", quality=95)

    assert photo.mode == "RGB"
    assert JpegImagePlugin.get_sampling(photo) == 2  # 4:2:0
    assert photo.quantization == Image.open(plain).quantization


def test_photos_are_as_bright_and_as_warm_as_abids(scenes):
    """Medians over ABID's originals, n = 150: R 130, G 109, B 87; sharpness varies from 8 to 25."""
    photos = [draw.photo(found).astype(float) for found in scenes[:60]]
    red, green, blue = np.median([photo.mean(axis=(0, 1)) for photo in photos], axis=0)

    assert (red, green, blue) == pytest.approx((130, 109, 87), abs=12)
    darkest = np.median([np.percentile(photo, 1) for photo in photos])
    lightest = np.median([np.percentile(photo, 99) for photo in photos])
    assert 35 < darkest < 65
    assert 160 < lightest < 220
