import numpy as np
import pytest
from PIL import ImageColor

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


def test_every_css_colour_is_called_by_its_own_name():
    names, _ = colours._css()

    assert [colours.css_name(ImageColor.getrgb(name)[:3]) for name in names] == names
    assert len(names) == 138 or len(names) == 139


@pytest.mark.parametrize(
    ("hex", "names"),
    [
        ("#74624d", {"sienna", "saddlebrown"}),  # the nearest in CIELAB is dimgray for all of these
        ("#8e7962", {"peru", "sienna"}),
        ("#534237", {"saddlebrown"}),
        ("#b9a38b", {"tan"}),
        ("#77736e", {"gray", "dimgray"}),  # chroma 3: no hue to be seen
    ],
)
def test_dull_browns_are_called_brown_and_greys_grey(hex, names):
    assert colours.css_name(ImageColor.getrgb(hex)) in names


@pytest.mark.parametrize(
    ("one", "other", "gap"),
    [
        ((50, 2.6772, -79.7751), (50, 0, -82.7485), 2.0425),
        ((50, 3.1571, -77.2803), (50, 0, -82.7485), 2.8615),
        ((50, -1, 2), (50, 0, 0), 2.3669),
        ((50, 2.49, -0.001), (50, -2.49, 0.0009), 7.1792),
        ((50, 2.5, 0), (73, 25, -18), 27.1492),
        ((60.2574, -34.0099, 36.2677), (60.4626, -34.1751, 39.4387), 1.2644),
        ((22.7233, 20.0904, -46.694), (23.0331, 14.973, -42.5619), 2.0373),
        ((2.0776, 0.0795, -1.135), (0.9033, -0.0636, -0.5514), 0.9082),
    ],
)
def test_differences_are_those_of_the_published_pairs(one, other, gap):
    """Sharma, Wu and Dalal 2005, table 1."""
    found = colours.ciede2000(np.array([one], float), np.array([other], float))

    assert found[0] == pytest.approx(gap, abs=1e-4)


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
