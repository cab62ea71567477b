import pytest

from stocktake.data import suspects
from stocktake.data.moves import Move

ITEMS = {"differing_sums": {"photos": 0, "shown": []}}
FULLNESS = {"over_full": {"over_in3": 4000.0, "is_given": False, "photos": 0, "shown": []}}


def move(first: int, second: int, kind: str, moved: int = 2) -> Move:
    return Move(
        first="1",
        second="2",
        counts=(first, second),
        kind=kind,
        moved=moved,
        in_common=1,
        apart=1,
    )


def test_a_clean_set_has_no_suspects():
    found = suspects.find(ITEMS, FULLNESS, [move(3, 2, "pick"), move(3, 3, "nothing")])

    assert found["cases"] == 0 and found["shown"] == []
    assert set(found["by_reason"]) == set(suspects.REASONS)


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        (move(3, 3, "swap"), "items-moved"),
        (move(3, 3, "stow"), "items-moved"),
        (move(3, 2, "nothing", 0), "count-moved"),
    ],
)
def test_count_and_items_of_siblings_must_tell_one_story(one, reason):
    found = suspects.find(ITEMS, FULLNESS, [one])

    assert found["by_reason"][reason] == found["cases"] == 1
    assert found["shown"][0]["photo_ids"] == ["1", "2"]


def test_siblings_without_items_contradict_nothing():
    assert suspects.find(ITEMS, FULLNESS, [move(3, 3, "unknown")])["cases"] == 0


def test_sums_volumes_and_twins_come_with_a_line_each():
    items = {
        "differing_sums": {"photos": 400, "shown": [{"photo_id": "7", "count": 5, "items": 4}]}
    }
    over = {"photos": 1, "shown": [{"photo_id": "8", "count": 9, "volume_in3": 7000.0}]}
    fullness = {"over_full": {**FULLNESS["over_full"], **over}}
    found = suspects.find(items, fullness, [], twins=[{"a": 1, "b": 2}, {"c": 3, "d": 3}])

    assert found["by_reason"] == {
        "sum-differs": 400,
        "cannot-fit": 1,
        "items-moved": 0,
        "count-moved": 0,
        "twins-differ": 1,
    }
    assert [row["told"] for row in found["shown"]] == [
        "count 5, its items sum up to 4",
        "count 9, items of 7,000 cubic inches; 4,000 is the upper fence of these bins",
        "equal photos, counts 1, 2",
    ]
