from random import Random

import numpy as np
import pytest
from PIL import Image

from stocktake.bins import textures

SIZES = [(90, 120), (6, 6), (320, 12), (12, 320)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("wrap", [textures.creases, textures.bubbles])
def test_a_wrap_is_a_shade_and_a_shine_of_the_size_asked_for(wrap, size):
    for seed in range(8):
        shade, shine = wrap(Random(seed), size)

        assert shade.size == shine.size == size
        assert shade.mode == shine.mode == "L"


@pytest.mark.parametrize("size", SIZES)
def test_artwork_is_coloured_and_of_the_size_asked_for(size):
    found = textures.artwork(Random(1), size)

    assert (found.size, found.mode) == (size, "RGB")


def test_film_is_mostly_dull_and_here_and_there_bright():
    for seed in range(12):
        _, shine = textures.creases(Random(seed), (160, 160))
        values = np.asarray(shine)

        assert np.median(values) < 90
    assert (
        max(np.asarray(textures.creases(Random(s), (160, 160))[1]).max() for s in range(12)) > 180
    )


def test_the_same_seed_is_the_same_texture_whatever_was_asked_before():
    first = np.asarray(textures.artwork(Random(3), (50, 40)))
    textures._painted.cache_clear()
    textures.artwork(Random(9), (50, 40))

    assert np.array_equal(np.asarray(textures.artwork(Random(3), (50, 40))), first)


def test_a_shade_darkens_by_its_strength():
    shade = Image.new("L", (8, 8), 155)
    for strength, left in ((0.0, 200), (0.5, 161), (1.0, 122)):
        picture = Image.new("RGB", (8, 8), (200, 200, 200))
        textures.shaded(picture, shade, strength=strength)

        assert np.asarray(picture).mean() == pytest.approx(left, abs=2)


def test_dents_differ_from_seed_to_seed():
    assert (
        textures.dents(Random(1), (60, 60)).tobytes()
        != textures.dents(Random(2), (60, 60)).tobytes()
    )
