import json
from typing import Any

import pytest

from stocktake.data.metadata import parse
from stocktake.errors import DataError


def item(**change: Any) -> dict[str, Any]:
    size = {"unit": "IN", "value": 2.5}
    made = {"asin": "A1", "name": "soap", "normalizedName": "soap", "quantity": 2}
    made |= {"height": size, "length": size, "width": size}
    made |= {"weight": {"unit": "pounds", "value": 0.3}}
    return made | change


def text(count: Any = 2, items: Any = None) -> bytes:
    products = {"A1": item()} if items is None else items
    return json.dumps({"BIN_FCSKU_DATA": products, "EXPECTED_QUANTITY": count}).encode()


def test_count_and_items_are_read():
    record = parse(text())

    assert record.count == 2
    assert record.items == [
        {
            "asin": "A1",
            "name": "soap",
            "quantity": 2,
            "height_in": 2.5,
            "length_in": 2.5,
            "width_in": 2.5,
            "weight_lb": 0.3,
        }
    ]


def test_empty_bins_and_unknown_items_have_no_items():
    assert parse(text(0, {})).items == []
    assert parse(text(4, {})).count == 4


def test_null_names_sizes_and_weights_are_empty():
    (row,) = parse(text(2, {"A1": item(name=None, weight=None, height=None)})).items

    assert row["name"] is row["weight_lb"] is row["height_in"] is None


def test_sums_that_differ_from_the_count_are_kept():
    assert parse(text(5)).count == 5


def test_other_units_are_converted():
    (row,) = parse(text(2, {"A1": item(height={"unit": "CM", "value": 2.54})})).items

    assert row["height_in"] == pytest.approx(1)


@pytest.mark.parametrize(
    ("data", "told"),
    [
        (b"", "not JSON"),
        (b"\xff\xfe\x00", "not JSON"),
        (b"{" * 100_000, "not JSON"),
        (b"[1]", "metadata is a list"),
        (b"{}", "has no EXPECTED_QUANTITY"),
        (b'{"EXPECTED_QUANTITY": 2}', "has no BIN_FCSKU_DATA"),
        (b'{"EXPECTED_QUANTITY": 1, "EXPECTED_QUANTITY": 2}', "there twice"),
        (b'{"EXPECTED_QUANTITY": NaN, "BIN_FCSKU_DATA": {}}', "NaN is not a number"),
        (text(-1), "EXPECTED_QUANTITY is -1, expected 0 to"),
        (text(10**9), "EXPECTED_QUANTITY is 1000000000"),
        (text("3"), "EXPECTED_QUANTITY is text, expected a whole number"),
        (text(2.5), "EXPECTED_QUANTITY is 2.5"),
        (text(True), "EXPECTED_QUANTITY is true or false"),
        (text(None), "EXPECTED_QUANTITY is None"),
        (text(2, []), "BIN_FCSKU_DATA is a list"),
        (text(2, {"A1": 3}), "item 'A1' is 3"),
        (text(2, {"A1": {"asin": "A1"}}), "item 'A1' has no quantity"),
        (text(2, {"A1": item(quantity=-2)}), "quantity is -2"),
        (text(2, {"A2": item()}), "says that its asin is 'A1'"),
        (text(2, {"A1": item(weight={"unit": "stones", "value": 1})}), "unit 'stones'"),
        (text(2, {"A1": item(weight={"unit": [], "value": 1})}), "unit \\[\\]"),
        (text(2, {"A1": item(width={"unit": "IN", "value": -1})}), "value -1"),
        (text(2, {"A1": item(width={"unit": "IN", "value": 1e300})}), "value 1e\\+300"),
        (text(2, {"A1": item(width={"unit": "IN", "value": "3"})}), "expected a number"),
        (text(2, {"A1": item(width=3)}), "width is 3, expected an object"),
        (text(2, {"A1": item(name="\ud800")}), "no valid text"),
        (text(2, {"A1": item(name=7)}), "name is 7, expected text"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(data, told):
    with pytest.raises(DataError, match=told) as caught:
        parse(data)

    assert "\n" not in str(caught.value)
