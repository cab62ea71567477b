import numpy as np
import pytest

from stocktake.bins import faces
from stocktake.bins.catalog import KINDS, product

SIDES = ("front", "edge", "end", "top", "left", "right", "bottom")


def one(kind, skip=0):
    return [product(n) for n in range(600) if product(n).kind == kind][skip]


def pixels(found, side="front", size=(90, 120), seed=0):
    return np.asarray(faces.face(found, side, size=size, seed=seed))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [(90, 120), (6, 6), (320, 12), (12, 320)])
def test_every_side_is_a_picture_of_the_size_asked_for(kind, size):
    for side in SIDES:
        channels = 4 if kind == "polybag" else 3

        assert pixels(one(kind), side, size).shape == (size[1], size[0], channels)


@pytest.mark.parametrize("kind", KINDS)
def test_a_product_looks_the_same_every_time(kind):
    first = pixels(one(kind)).copy()
    faces._face.cache_clear()

    assert np.array_equal(pixels(one(kind)), first)


@pytest.mark.parametrize("kind", KINDS)
def test_two_products_look_different(kind):
    assert not np.array_equal(pixels(one(kind)), pixels(one(kind, skip=1)))


@pytest.mark.parametrize("kind", ["polybag", "pouch", "mailer"])
def test_two_equal_bags_have_folds_of_their_own(kind):
    assert not np.array_equal(pixels(one(kind), seed=1), pixels(one(kind), seed=2))


@pytest.mark.parametrize("kind", ["box", "carton", "book", "bottle", "tin"])
def test_two_equal_boxes_look_alike(kind):
    assert np.array_equal(pixels(one(kind), seed=1), pixels(one(kind), seed=2))


@pytest.mark.parametrize("kind", ["box", "book", "bottle", "tin"])
def test_print_is_there(kind):
    """Not one colour only: the front has at least two that differ by far."""
    grey = pixels(one(kind), size=(180, 180)).mean(axis=2)

    assert np.percentile(grey, 98) - np.percentile(grey, 2) > 40


def test_one_sees_through_the_film_beyond_the_thing_in_a_bag_but_not_through_the_thing():
    for skip in range(12):
        alpha = pixels(one("polybag", skip), size=(120, 120))[..., 3]

        assert (alpha[40:80, 40:80] == 255).all()
        assert alpha.min() > 60


def test_a_book_shows_pages_at_its_top():
    paper = pixels(one("book"), "top", (90, 30)).mean(axis=(0, 1))

    assert paper.min() > 150
