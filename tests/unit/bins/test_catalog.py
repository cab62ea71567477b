from collections import Counter

import pytest

from stocktake.bins import catalog
from stocktake.bins.catalog import KINDS, product, record

NUMBERS = range(0, catalog.PRODUCTS, 40)


def test_a_number_is_the_same_product_whatever_was_asked_before():
    first = product(1234)
    product.cache_clear()
    product(99)

    assert product(1234) == first


def test_no_two_products_share_an_asin():
    asins = [product(number).asin for number in range(6000)]

    assert len(set(asins)) == len(asins)


def test_asins_look_like_the_shops():
    for number in range(500):
        found = product(number)

        assert len(found.asin) == 10
        if found.kind == "book":
            assert found.asin.isdigit()
        else:
            assert found.asin.startswith("B0") and found.asin.isalnum() and found.asin.isupper()


def test_kinds_come_in_their_shares():
    found = Counter(product(number).kind for number in NUMBERS)

    assert sum(kind.share for kind in KINDS.values()) == pytest.approx(1)
    for name, kind in KINDS.items():
        assert found[name] / len(NUMBERS) == pytest.approx(kind.share, abs=0.02)


def test_sizes_and_weights_are_those_of_things_that_fit_a_bin():
    for number in NUMBERS:
        found = product(number)

        assert all(0.4 <= side <= 16 for side in found.size_in)
        assert 0 < found.weight_lb < 100


def test_flat_things_name_their_longest_side_first():
    for number in range(500):
        found = product(number)
        if found.kind not in ("bottle", "tin"):
            assert list(found.size_in) == sorted(found.size_in, reverse=True)


def test_print_stands_out_from_its_ground():
    for number in range(500):
        ground, accent, ink = product(number).colours

        assert ground != accent
        assert abs(sum(ground) - sum(ink)) > 150


def test_a_record_says_how_many_and_how_large():
    found = product(5)
    row = record(found, 3)

    assert (row["asin"], row["name"], row["quantity"]) == (found.asin, found.name, 3)
    assert row["length"] == {"unit": "IN", "value": found.size_in[0]}
    assert row["weight"] == {"unit": "pounds", "value": found.weight_lb}


def test_some_records_lack_weight_or_all_three_sizes_as_real_ones_do():
    rows = [record(product(number), 1) for number in NUMBERS]
    without = [row for row in rows if row["height"] is None]

    assert 0 < len(without) < 0.01 * len(rows)
    assert all(row["length"] is None and row["width"] is None for row in without)
    assert sum(row["weight"] is None for row in rows) / len(rows) == pytest.approx(0.023, abs=0.01)
