import numpy as np
import pytest

from stocktake.data import folds, leaks, siblings
from stocktake.errors import DataError

SHARES = {"train": 0.65, "val": 0.10, "calib": 0.10, "test": 0.15}


def neighbours(rows) -> leaks.Neighbours:
    return leaks.Neighbours(rows, siblings.find(rows).pairs)


@pytest.fixture
def audit(rows_of):
    """The audit of photos given as (photo_id, count, products, fold)."""

    def make(*bins: tuple[str, int, str, str]) -> leaks.Audit:
        rows = rows_of(*(one[:3] for one in bins))
        return neighbours(rows).audit(np.array([one[3] for one in bins]))

    return make


def test_test_photos_with_a_sibling_in_train_are_found(audit):
    found = audit(
        ("00001", 2, "A", "train"),
        ("00002", 1, "A", "test"),
        ("00011", 2, "B", "test"),
        ("00012", 1, "B", "test"),
        ("00021", 2, "C", "val"),
        ("00022", 1, "C", "test"),
        ("00031", 1, "D", "test"),
        ("00033", 1, "D", "train"),
        ("00041", 1, "E", "test"),
        ("00042", 1, "F", "train"),
    )

    assert found.photos.tolist() == [1, 2, 3, 5, 6, 8]
    assert found.has_sibling.tolist() == [True, False, False, False, True, False]
    assert found.has_neighbour.tolist() == [True, False, False, False, True, True]


def test_the_neighbour_is_the_closest_in_train_of_equals_the_lower(audit):
    found = audit(
        ("00001", 1, "A", "train"),
        ("00002", 2, "B", "train"),
        ("00003", 9, "C", "test"),
        ("00004", 3, "D", "train"),
        ("00010", 4, "E", "val"),
        ("00011", 9, "F", "test"),
        ("00013", 5, "G", "train"),
        ("00020", 9, "H", "test"),
        ("00023", 5, "I", "train"),
        ("00030", 5, "J", "train"),
    )

    majority = 5
    assert found.said["neighbour"].tolist() == [2, 5, majority]
    assert found.said["majority"].tolist() == [majority] * 3


def test_the_step_is_learnt_from_train_and_turned_with_the_way(audit):
    bins = [
        *(("00001", 5, "A", "train"), ("00002", 4, "A", "train")),
        *(("00011", 3, "B", "train"), ("00012", 2, "B", "train")),
        *(("00021", 1, "C", "train"), ("00022", 2, "C", "train")),
        *(("00031", 4, "D", "train"), ("00032", 9, "D", "test")),
        *(("00041", 9, "E", "test"), ("00042", 4, "E", "train")),
    ]
    down = audit(*bins)
    up = audit(*((photo_id, 6 - count, *more) for photo_id, count, *more in bins))

    assert (down.step, down.said["step"].tolist()) == (-1, [3, 5])
    assert (up.step, up.said["step"].tolist()) == (1, [3, 1])


def test_an_answer_that_train_does_not_have_is_the_majority(audit):
    found = audit(
        ("00001", 1, "A", "train"),
        ("00002", 9, "A", "test"),
        ("00011", 3, "B", "train"),
        ("00021", 3, "C", "train"),
    )

    assert found.step == -1 and found.said["step"].tolist() == [3]


def test_pairs_across_are_named(rows_of):
    rows = rows_of(("00001", 1, "A"), ("00002", 2, "A"), ("00003", 3, "A"), ("00009", 3, "A"))
    found = neighbours(rows).across(np.array(["train", "train", "val", "test"]))

    assert found.tolist() == [[0, 2], [1, 2]]


def test_whole_groups_leak_nothing_and_random_ones_do(some_rows):
    rows = some_rows(600)
    made = {kind: folds.assign(rows, shares=SHARES, seed=0, kind=kind) for kind in folds.KINDS}
    leaked = {}
    for kind, one in made.items():
        there = leaks.Neighbours(one.split, one.pairs)
        fold = one.split["fold"].to_numpy()
        leaked[kind] = there.audit(fold).has_sibling.mean()
        assert (len(there.across(fold)) > 0) == (kind == "random")

    assert leaked["siblings"] == leaked["balanced"] == 0
    assert leaked["random"] > 0.4


def test_without_test_photos_there_is_nothing_to_audit(audit):
    with pytest.raises(DataError, match="without train or test photos"):
        audit(("00001", 1, "A", "train"), ("00002", 1, "A", "val"))
