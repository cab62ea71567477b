import numpy as np
import pytest

from stocktake.data import products
from stocktake.data.products import Items


@pytest.fixture
def items(photo_row, table_of) -> Items:
    large = {"height_in": 10.0, "length_in": 30.0, "weight_lb": 3.0}
    return Items.of(
        table_of(
            photo_row("00001", 3, {"A": 2, "B": 1}, height_in=1.0, length_in=4.0, weight_lb=0.5),
            photo_row("00002", 0, {}),
            photo_row("00003", 5, {"A": 5}, height_in=1.0),  # no length
            photo_row("00004", 7, {}),  # not on record
            photo_row("00005", 4, {"C": 3}, height_in=0.0, length_in=4.0),  # flat, a sum of 3
            photo_row("00006", 2, {"D": 2}, **large),
        )
    )


def test_items_know_the_photo_they_are_in(items):
    assert items.place.tolist() == [0, 0, 2, 4, 5]
    assert items.sums.tolist() == [3, 0, 5, 0, 3, 2]
    assert items.products.tolist() == [2, 0, 1, 0, 1, 1]
    assert items.is_known.tolist() == [True, True, True, False, True, True]


def test_a_volume_needs_all_three_sizes_and_none_of_zero(items):
    assert np.nan_to_num(items.volume_in3, nan=-1).tolist() == [8, 8, -1, -1, 600]


def test_amounts_sizes_and_weights_are_told(items):
    found = products.of_items(items)

    assert found["products"] == 4
    assert found["quantity_per_product"]["times"] == {"1": 1, "2": 2, "3": 1, "5": 1}
    assert found["products_per_photo"]["times"] == {"0": 1, "1": 3, "2": 1}
    assert found["volume_in3_per_photo"]["n"] == 2
    assert found["volume_in3_per_photo"]["missing"] == 2
    assert (found["volume_in3_per_photo"]["min"], found["volume_in3_per_photo"]["max"]) == (
        24,
        1200,
    )
    assert found["weight_lb_per_photo"]["max"] == 6
    assert found["sizes"]["length_in"]["missing"] == 1


def test_sums_that_differ_are_listed_and_unknown_items_are_not_taken_for_one(items):
    found = products.of_items(items)

    assert found["differing_sums"]["shown"] == [{"photo_id": "00005", "count": 4, "items": 3}]
    assert found["unknown_items"] == {"photos": 1, "shown": ["00004"]}


def test_a_bin_that_holds_more_than_it_can_is_over_full(items):
    found = products.fullness(items, bin_volume_in3=1000)

    assert found["over_full"] == {
        "over_in3": 1000,
        "is_given": True,
        "photos": 1,
        "shown": [{"photo_id": "00006", "count": 2, "volume_in3": 1200}],
    }
    assert [row["photo_id"] for row in found["fullest"]] == ["00006", "00001"]
    assert found["empty"] == {"photos": 1, "shown": ["00002"]}


def test_without_a_volume_bins_are_judged_by_each_other(photo_row, table_of):
    sizes = {"height_in": 1.0, "length_in": 1.0}
    rows = [photo_row(f"{i:05d}", 4 + i % 3, {"A": 4 + i % 3}, **sizes) for i in range(50)]
    odd = photo_row("00099", 90, {"A": 90}, **sizes)
    found = products.fullness(Items.of(table_of(*rows, odd)))

    assert [row["photo_id"] for row in found["crowded"]["shown"]] == ["00099"]
    assert [row["photo_id"] for row in found["over_full"]["shown"]] == ["00099"]
    assert found["over_full"]["is_given"] is False


def test_photos_without_any_items_are_no_fault(photo_row, table_of):
    items = Items.of(table_of(photo_row("1", 0, {}), photo_row("2", 3, {})))
    found = products.of_items(items)

    assert found["products"] == 0 and found["quantity_per_product"] == {"n": 0}
    assert products.fullness(items)["over_full"]["photos"] == 0
