import pytest

from stocktake.data import moves, siblings


@pytest.fixture
def found(photo_row, table_of):
    """Moves between the photos of rows given as id, count, quantities."""

    def find(*rows):
        table = table_of(*(photo_row(*one) for one in rows))
        return moves.find(table, siblings.find(table))

    return find


@pytest.mark.parametrize(
    ("before", "after", "kind", "moved"),
    [
        ({"A": 3, "B": 1}, {"A": 2, "B": 1}, "pick", 1),
        ({"A": 3, "B": 1}, {"A": 3}, "pick", 1),
        ({"A": 3}, {"A": 3, "B": 4}, "stow", 4),
        ({"A": 3, "B": 1}, {"A": 2, "B": 2}, "swap", 2),
        ({"A": 3}, {"A": 3}, "nothing", 0),
    ],
)
def test_what_went_and_came_tells_the_kind(found, before, after, kind, moved):
    one = ("00001", sum(before.values()), before)
    (move,) = found(one, ("00002", sum(after.values()), after))

    assert (move.kind, move.moved, move.apart) == (kind, moved, 1)
    assert move.in_common == len(before.keys() & after.keys())


def test_siblings_without_items_on_record_are_unknown(found):
    (move,) = found(("00001", 3, {}), ("00002", 2, {"A": 2}))

    assert move.kind == "unknown"


def test_only_consecutive_siblings_are_compared(found):
    """1 and 3 are siblings as well, yet 2 lies between them."""
    three = [(f"{i:05d}", i, {"A": i}) for i in (1, 2, 3)]

    assert [(m.first, m.second) for m in found(*three)] == [("00001", "00002"), ("00002", "00003")]


def test_a_summary_counts_kinds_changes_and_common_products(found):
    made = found(
        ("00001", 3, {"A": 3}),
        ("00002", 2, {"A": 2}),
        ("00011", 3, {"A": 2, "C": 1}),
        ("00012", 20, {"A": 2, "C": 18}),
        ("00021", 5, {"B": 2, "D": 3}),
        ("00023", 5, {"B": 3, "D": 2}),
    )
    told = moves.summary(made)

    assert told["pairs"] == 3
    assert {kind: one["pairs"] for kind, one in told["kinds"].items() if one["pairs"]} == {
        "pick": 1,
        "stow": 1,
        "swap": 1,
    }
    assert list(told["by_change"]) == ["-1", "0", *(f"+{n}" for n in range(1, 10)), "≥+10"]
    assert {change: n for change, n in told["by_change"].items() if n} == {
        "-1": 1,
        "0": 1,
        "≥+10": 1,
    }
    assert told["products_in_common"] == {"1": 1, "2": 2}
    assert told["kinds"]["swap"]["by_apart"] == {"1": 0, "2": 1}
    assert told["same_count"] == pytest.approx(1 / 3, abs=1e-4)
    assert told["kinds"]["pick"]["shown"][0] == {
        "first": "00001",
        "second": "00002",
        "from": 3,
        "to": 2,
        "kind": "pick",
        "moved": 1,
    }


def test_no_siblings_have_a_summary_too(found):
    made = found(("00001", 3, {"A": 3}), ("00002", 3, {"B": 3}))

    assert made == [] and moves.summary(made)["by_change"] == {}
