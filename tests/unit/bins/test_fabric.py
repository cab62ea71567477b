from dataclasses import replace

import numpy as np
import pytest
from PIL import Image, ImageDraw

from stocktake.bins import fabric
from stocktake.bins.scene import PX_PER_IN

GREY = (90, 90, 90)


def to_px_of(found):
    def to_px(point):
        x, y = point
        return (x - found.left_in) * PX_PER_IN, found.size_px[1] - (y - found.below_in) * PX_PER_IN

    return to_px


def canvas_of(found, colour=GREY):
    return Image.new("RGB", found.size_px, colour)


def inside(found, pixels):
    """The middle of the pocket."""
    left, bottom = to_px_of(found)((found.pocket.width * 0.1, found.pocket.height * 0.1))
    right, top = to_px_of(found)((found.pocket.width * 0.9, found.pocket.height * 0.9))
    return pixels[round(top) : round(bottom), round(left) : round(right)]


def below(found, pixels):
    return pixels[round(to_px_of(found)((0, -0.1 * found.pocket.height / 9))[1]) + 4 :]


@pytest.fixture
def some(scenes):
    return scenes[:25]


def hemmed(found):
    canvas = canvas_of(found)
    fabric.hems(ImageDraw.Draw(canvas), found, to_px=to_px_of(found))
    return np.asarray(canvas).astype(int)


def test_the_inside_is_yellow_in_the_shade(some):
    for found in some:
        canvas = canvas_of(found)
        fabric.interior(canvas, found, to_px=to_px_of(found))
        red, green, blue = inside(found, np.asarray(canvas)).mean(axis=(0, 1))

        assert red > green > blue
        assert red < fabric.YELLOW[0] * 0.9


def test_hems_cover_what_is_outside_the_pocket_and_leave_the_inside(some):
    for found in some:
        pixels = hemmed(found)

        assert (inside(found, pixels) == 90).all()
        assert not (below(found, pixels) == 90).all(axis=2).any()


def test_labels_lie_on_the_hems_only(some):
    for found in some:
        canvas = canvas_of(found)
        fabric.labels(canvas, found, to_px=to_px_of(found), px_per_in=PX_PER_IN)
        pixels = np.asarray(canvas)

        assert (inside(found, pixels) == 90).all()
        assert (pixels != 90).any(axis=2).sum() > 200


def test_a_label_has_the_colour_of_its_row(some):
    found = replace(some[0], label="2B", below_in=-3.0)
    other = replace(found, label="2F")
    shown = []
    for one in (found, other):
        canvas = canvas_of(one)
        fabric.labels(canvas, one, to_px=to_px_of(one), px_per_in=PX_PER_IN)
        shown.append({colour for _, colour in canvas.getcolors(1 << 20) or []})

    assert fabric.LABELS["B"] in shown[0] and fabric.LABELS["B"] not in shown[1]
    assert fabric.LABELS["F"] in shown[1] and fabric.LABELS["F"] not in shown[0]


def test_bands_cross_the_opening_and_one_sees_through_them(some):
    for found in some:
        light = canvas_of(found, (200, 60, 60))
        dark = canvas_of(found, (20, 20, 90))
        for canvas in (light, dark):
            fabric.bands(canvas, found, to_px=to_px_of(found), px_per_in=PX_PER_IN)
        there = np.asarray(light).astype(int) - np.asarray(dark).astype(int)  # (H, W, C)
        banded = (np.asarray(dark) != (20, 20, 90)).any(axis=2)

        assert 0.05 < banded.mean() < 0.97
        rows = banded.mean(axis=1) > 0.9
        assert rows.any(), "a band goes from side to side"
        # 180 apart without a band: under it what lies behind still tells
        assert np.median(there[..., 0][banded]) > 30


def test_siblings_have_the_same_bands(some):
    found = some[0]
    again = replace(found, photo_seed=found.photo_seed + 1)
    shown = []
    for one in (found, again):
        canvas = canvas_of(one)
        fabric.bands(canvas, one, to_px=to_px_of(one), px_per_in=PX_PER_IN)
        shown.append((np.asarray(canvas) != 90).any(axis=2).mean())

    assert shown[0] == pytest.approx(shown[1], abs=0.1)


def test_before_some_bins_runs_a_cord(scenes):
    corded = 0
    for found in scenes[:200]:
        canvas = Image.new("RGB", found.size_px, GREY)
        fabric.cord(canvas, found, to_px=to_px_of(found), px_per_in=PX_PER_IN)
        share = (np.asarray(canvas) != 90).any(axis=2).mean()
        corded += share > 0

        assert share < 0.08
    assert corded / 200 == pytest.approx(fabric.CORDS, abs=0.07)


def test_a_board_above_a_bin_takes_the_place_of_the_next_row(scenes):
    topped = [found for found in scenes[:300] if fabric.has_open_top(found)]

    assert len(topped) / 300 == pytest.approx(fabric.OPEN_TOPS, abs=0.07)
    for found in topped[:5]:
        row = hemmed(found)[0]

        assert np.ptp(np.median(row, axis=0)) < 20, "grey, not yellow"
