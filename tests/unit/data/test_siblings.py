import pyarrow as pa
import pytest

from stocktake.data import siblings
from stocktake.errors import DataError


def rows(*bins: tuple[str, int, str]) -> pa.Table:
    """Rows from (photo_id, count, products as letters)."""
    return pa.Table.from_pylist(
        [
            {"photo_id": photo_id, "count": count, "items": [{"asin": a} for a in products]}
            for photo_id, count, products in bins
        ],
        schema=pa.schema(
            [
                ("photo_id", pa.string()),
                ("count", pa.int32()),
                ("items", pa.list_(pa.struct([("asin", pa.string())]))),
            ]
        ),
    )


def groups(*bins: tuple[str, int, str]) -> list[str]:
    return siblings.find(rows(*bins)).groups


def test_near_ids_that_share_a_product_are_siblings():
    assert groups(("00001", 2, "AB"), ("00002", 1, "B"), ("00003", 1, "C")) == [
        *("00001", "00001", "00003"),
    ]


def test_ids_two_apart_may_be_siblings_and_three_apart_not():
    assert groups(("00001", 1, "A"), ("00003", 1, "A")) == ["00001", "00001"]
    assert groups(("00001", 1, "A"), ("00004", 1, "A")) == ["00001", "00004"]


def test_a_stranger_between_siblings_stays_out():
    assert groups(("00001", 1, "A"), ("00002", 1, "B"), ("00003", 1, "A")) == [
        *("00001", "00002", "00001"),
    ]


def test_chains_are_one_group_named_by_its_first_photo():
    chain = [(f"{number:05d}", 2, f"{number}{number + 1}") for number in range(9, 14)]

    assert set(groups(*chain[::-1])) == {"00009"}


def test_unknown_items_make_near_photos_siblings():
    assert groups(("00001", 3, ""), ("00002", 1, "B")) == ["00001", "00001"]
    assert groups(("00001", 3, ""), ("00004", 3, "")) == ["00001", "00004"]


def test_an_empty_bin_is_known_to_hold_nothing():
    assert groups(("00001", 0, ""), ("00002", 1, "B")) == ["00001", "00002"]


def test_padded_and_unpadded_ids_are_series_apart():
    assert groups(("01044", 1, "A"), ("1045", 1, "A")) == ["01044", "1045"]
    assert groups(("1044", 1, "A"), ("1045", 1, "A")) == ["1044", "1044"]


def test_ids_of_another_width_are_a_series_of_their_own():
    assert groups(("0012", 1, "A"), ("0013", 1, "A")) == ["0012", "0012"]
    assert groups(("0012", 1, "A"), ("13", 1, "A")) == ["0012", "13"]


def test_a_series_goes_on_above_its_padding():
    assert groups(("99999", 1, "A"), ("100000", 1, "A")) == ["100000", "100000"]
    assert siblings.series_of("00007")[0] == siblings.series_of("105274")[0]


def test_what_stands_before_the_number_is_part_of_the_series():
    assert groups(("a-1", 1, "A"), ("b-2", 1, "A")) == ["a-1", "b-2"]
    assert groups(("a-1", 1, "A"), ("a-2", 1, "A")) == ["a-1", "a-1"]


def test_ids_without_a_number_stand_alone():
    assert siblings.series_of("left") is None
    assert groups(("left", 1, "A"), ("lefu", 1, "A")) == ["left", "lefu"]


def test_very_long_numbers_do_no_harm():
    assert groups(("9" * 40, 1, "A"), ("9" * 39 + "8", 1, "A")) != []


def test_the_change_is_from_the_lower_id_to_the_higher():
    table = rows(("00002", 5, "A"), ("00001", 3, "A"))

    assert siblings.changes(table, siblings.find(table).pairs) == [2]


def test_an_id_there_twice_is_refused():
    with pytest.raises(DataError, match="1 photo ids are there twice"):
        groups(("1", 1, "A"), ("1", 1, "A"))
