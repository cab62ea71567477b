import numpy as np
import pytest

from stocktake.data import colours


def test_known_colours_have_their_names():
    for rgb, name in [
        ((255, 255, 255), "white"),
        ((0, 0, 0), "black"),
        ((205, 133, 63), "peru"),
        ((210, 180, 141), "tan"),
        ((128, 128, 128), "gray"),
    ]:
        assert colours.css_name(rgb) == name


def test_lab_is_that_of_the_standard():
    """Values of sRGB red and white under D65, to the decimals usually printed."""
    lab = colours.to_lab(np.array([[255, 0, 0], [255, 255, 255], [0, 0, 0]]))

    assert lab[0] == pytest.approx([53.24, 80.09, 67.20], abs=0.02)
    assert lab[1] == pytest.approx([100, 0, 0], abs=0.02)
    assert lab[2] == pytest.approx([0, 0, 0], abs=0.02)


def test_dominant_colours_come_with_their_shares():
    pixels = np.array([[200, 0, 0]] * 60 + [[0, 0, 200]] * 30 + [[250, 250, 250]] * 10, np.uint8)

    found = colours.dominant(pixels, colours=3, seed=0)

    assert [colour["hex"] for colour in found] == ["#c80000", "#0000c8", "#fafafa"]
    assert [colour["share"] for colour in found] == [0.6, 0.3, 0.1]
    assert found[1]["name"] == "mediumblue"


def test_fewer_colours_than_asked_for_are_told_as_they_are():
    pixels = np.full((50, 3), 7, np.uint8)

    (only,) = colours.dominant(pixels, colours=5, seed=0)

    assert only["rgb"] == [7, 7, 7]
    assert only["share"] == 1


def test_the_seed_decides():
    rng = np.random.default_rng(0)
    photo = rng.integers(0, 255, (40, 30, 3), dtype=np.uint8)

    one, same, other = (colours.some_pixels(photo, 100, seed=s) for s in (1, 1, 2))

    assert one.shape == (100, 3)
    assert (one == same).all()
    assert not (one == other).all()
