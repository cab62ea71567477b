from random import Random

import pytest

from stocktake.bins import placing, solids
from stocktake.bins.catalog import product
from stocktake.bins.solids import Placed, Pocket

POCKET = Pocket(width=13.0, height=9.0, depth=12.0, eye=(6.5, 5.0, -30.0))
BOX = next(product(n) for n in range(100) if product(n).kind == "box")


def box(x, y, z, size=(3.0, 3.0, 1.0)):
    return Placed(product=BOX, x=x, y=y, z=z, size=size)


def test_every_item_of_two_thousand_bins_is_visible(scenes):
    for found in scenes:
        shares = placing.shares_visible(found.items, found.pocket, raster_px=400)

        assert min(shares, default=1) >= placing.MIN_VISIBLE, found.photo_id


def test_no_item_is_a_sliver(scenes):
    for found in scenes[:600]:
        shares = placing.shares_visible(found.items, found.pocket, raster_px=400)
        for item, share in zip(found.items, shares, strict=True):
            assert share * solids.area(solids.outline(item, found.pocket)) > 0.3


def test_items_often_hide_parts_of_each_other(scenes):
    full = [found for found in scenes if found.count >= 3]
    hidden = [
        found for found in full if min(placing.shares_visible(found.items, found.pocket)) < 0.7
    ]

    assert len(hidden) / len(full) > 0.3


def test_items_lie_inside_their_pocket(scenes):
    for found in scenes[:500]:
        for item in found.items:
            assert -0.5 <= item.x <= found.pocket.width + 0.5
            assert 0 <= item.y <= found.pocket.height
            assert 0 <= item.z <= found.pocket.depth


def test_a_thing_right_behind_another_is_not_visible():
    front, back = box(6.5, 5.0, 0.0, (4.0, 4.0, 1.0)), box(6.5, 5.0, 4.0)

    shares = placing.shares_visible([back, front], POCKET)
    assert shares[0] < 0.05
    assert shares[1] > 0.95
    assert not placing.all_visible([back, front], POCKET)


def test_a_thing_half_behind_another_is_half_visible():
    front, back = box(5.0, 5.0, 0.0, (3.0, 6.0, 0.1)), box(6.5, 5.0, 0.2, (3.0, 3.0, 0.1))

    assert placing.shares_visible([front, back], POCKET)[1] == pytest.approx(0.5, abs=0.06)


def test_what_the_hem_covers_is_not_visible():
    low = box(6.5, 0.2, 0.0, (3.0, 0.4, 0.1))

    assert placing.shares_visible([low], POCKET)[0] < 0.4


def test_the_nearest_are_drawn_last():
    items = [box(6, 5, 0.5), box(6, 5, 4.0), box(6, 5, 2.0)]

    assert placing.drawing_order(items, POCKET) == [1, 2, 0]


@pytest.mark.parametrize("seed", range(12))
def test_all_that_is_wanted_is_placed_and_visible(seed):
    rng = Random(seed)
    wanted = [(product(rng.randrange(9999)), rng.randint(1, 4)) for _ in range(2)]
    found = placing.arrange(rng, POCKET, wanted=wanted, around=[])

    assert found is not None
    for new, quantity in wanted:
        assert sum(item.product == new for item in found) == quantity
    assert placing.all_visible(found, POCKET)


def test_new_things_leave_those_there_in_sight():
    there = [box(2.0, 2.0, 0.0), box(6.0, 2.0, 0.0)]
    found = placing.arrange(Random(1), POCKET, wanted=[(BOX, 1)], around=there)

    assert found is not None and len(found) == 1
    assert placing.all_visible([*there, *found], POCKET)


def test_what_lost_its_bearing_falls_to_the_floor_or_to_what_is_left():
    low, high, beside = box(3, 1.6, 0.0), box(3, 4.6, 0.0), box(9, 6.0, 0.0)
    kept = placing.settled([high, beside], POCKET)

    assert kept[0].y < 1.8 and kept[1].y < 1.8
    assert placing.settled([low, high], POCKET)[1].y == pytest.approx(4.6, abs=0.1)


def test_nothing_hangs_in_the_air_after_a_pick(scenes):
    for found in scenes[:400]:
        again = placing.settled(found.items, found.pocket)
        for item, fallen in zip(found.items, again, strict=True):
            assert item.y - fallen.y < 0.12 * found.pocket.height, found.photo_id


def test_nothing_wanted_is_nothing_placed():
    assert placing.arrange(Random(1), POCKET, wanted=[], around=[box(2, 2, 0)]) == []


@pytest.mark.parametrize("count", [1, 4, 10])
def test_in_a_grid_next_to_nothing_is_hidden(count):
    placed = placing.grid(Random(2), POCKET, products=[product(n) for n in range(count)])

    assert len(placed) == count
    assert min(placing.shares_visible(placed, POCKET)) > 0.8
