from math import dist, pi

import pytest

from stocktake.bins import solids
from stocktake.bins.catalog import product
from stocktake.bins.solids import Placed, Pocket

POCKET = Pocket(width=13.0, height=9.0, depth=12.0, eye=(6.5, 5.0, -30.0))


def placed(kind, **wants):
    found = next(product(n) for n in range(400) if product(n).kind == kind)
    return Placed(**{"product": found, "x": 5.0, "y": 4.0, "z": 1.0, "size": (4, 3, 2)} | wants)


def test_the_opening_appears_as_it_is():
    assert solids.project(POCKET, (3.0, 2.0, 0.0)) == (3.0, 2.0)


def test_what_lies_deeper_moves_towards_the_eye():
    x, y = solids.project(POCKET, (0.0, 0.0, 10.0))

    assert 0 < x < 6.5
    assert 0 < y < 5.0


@pytest.mark.parametrize("wants", [{}, {"lean": 0.3}, {"yaw": 0.4}, {"lean": -0.2, "yaw": -0.4}])
def test_a_turned_box_keeps_its_edges(wants):
    found = solids.corners(placed("box", **wants))

    assert dist(found[0], found[1]) == pytest.approx(4)
    assert dist(found[1], found[2]) == pytest.approx(3)
    assert dist(found[0], found[4]) == pytest.approx(2)
    assert min(z for _, _, z in found) == pytest.approx(1, abs=0.05)


def test_a_box_left_of_the_eye_shows_its_right_side_and_never_its_left():
    shown = solids.visible_sides(placed("box", x=2.0), POCKET)

    assert "right" in shown and "left" not in shown
    assert list(shown)[-1] == "front"


def test_a_box_below_the_eye_shows_its_top():
    assert "top" in solids.visible_sides(placed("box", y=2.0), POCKET)
    assert "bottom" in solids.visible_sides(placed("box", y=8.5), POCKET)


def test_the_outline_of_a_box_holds_its_sides():
    item = placed("carton", x=2.0, yaw=0.4)
    sides = solids.visible_sides(item, POCKET)

    whole = solids.area(solids.outline(item, POCKET))
    assert whole == pytest.approx(sum(solids.area(quad) for quad in sides.values()), rel=0.02)


def test_area_of_a_rectangle():
    assert solids.area([(0, 0), (2, 0), (2, 3), (0, 3)]) == 6


@pytest.mark.parametrize("name", ["bottle", "disc", "can", "polybag", "pouch", "mailer"])
def test_shapes_fill_most_of_their_square_and_stay_inside(name):
    for seed in range(20):
        points = solids.shape(name, seed)

        assert all(-0.5 <= x <= 0.5 and -0.5 <= y <= 0.5 for x, y in points)
        assert solids.area(points) > 0.5


def test_bags_are_crumpled_each_in_its_way():
    assert solids.shape("polybag", 1) != solids.shape("polybag", 2)


def test_a_round_tin_on_its_end_is_a_disc():
    item = placed("tin", size=(4, 4, 3), face="end", z=0.0)
    shown = solids.outline(item, POCKET)

    assert solids.area(shown) == pytest.approx(4 * pi, rel=0.1)


def test_a_bottle_stays_on_its_billboard():
    item = placed("bottle", lean=0.2)
    corners = solids.billboard(item, POCKET)

    assert solids.area(solids.outline(item, POCKET)) < solids.area(corners)
