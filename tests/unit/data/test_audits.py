import json

import pytest

from stocktake.data import audits, folds
from stocktake.errors import DataError

SHARES = {"train": 0.65, "val": 0.10, "calib": 0.10, "test": 0.15}


def audit(rows, kind: str = "siblings", *, seed: int = 0, shares=SHARES) -> dict:
    made = folds.assign(rows, shares=shares, seed=seed, kind=kind)
    return audits.of_split(made, kind=kind, shares=shares, seed=seed)


def test_whole_groups_leak_nothing_and_random_ones_would(some_rows):
    found = audit(some_rows(300), "balanced", seed=4)

    assert (found["format"], found["kind"], found["seed"]) == ("audit/1", "balanced", 4)
    assert found["pairs_across"] == {"pairs": 0, "torn_groups": 0, "shown": []}
    assert found["this"]["leaked"] == {"mean": 0, "least": 0, "most": 0}
    assert found["random"]["seeds"] == list(range(4, 14))
    leaked = found["random"]["leaked"]
    assert 0.5 < leaked["least"] < leaked["mean"] < leaked["most"] < 1


def test_a_random_split_leaks_what_was_said_of_it(some_rows):
    rows = some_rows(300)
    found = audit(rows, "random")

    assert found["random"] == audit(rows)["random"]
    leaked = found["random"]["leaked"]["mean"]
    assert found["this"]["leaked"]["mean"] == pytest.approx(leaked, abs=0.1)
    assert len(found["pairs_across"]["shown"]) == audits.PAIRS_SHOWN
    assert found["pairs_across"]["pairs"] > audits.PAIRS_SHOWN


def test_rules_are_told_with_their_intervals_and_what_they_gain(some_rows):
    rules = audit(some_rows(200))["random"]["rules"]

    assert set(rules) == {"majority", "neighbour", "step"}
    for rule in rules.values():
        accuracy = rule["accuracy"]
        assert accuracy["low"] <= accuracy["value"] <= accuracy["high"]
        assert {"about", "gain", "rmse", "accuracy_of_leaked"} < set(rule)
    assert rules["majority"]["gain"]["value"] == 0


def test_it_is_plain_data(some_rows):
    found = audit(some_rows(50), "balanced")

    assert json.loads(json.dumps(found)) == found


def test_few_photos_may_have_no_random_split_to_compare_with(rows_of):
    rows = rows_of(*((f"{10 * number:05d}", 1, "ABCD"[number]) for number in range(4)))
    few = {"train": 0.25, "val": 0.25, "calib": 0.25, "test": 0.25}
    found = audit(rows, "balanced", shares=few)

    assert found["random"] is None or len(found["random"]["seeds"]) < audits.DRAWS


def test_a_split_without_a_test_fold_is_refused(some_rows):
    made = folds.assign(some_rows(100), shares=SHARES, seed=0)
    train = made.split.filter([fold != "test" for fold in made.split["fold"].to_pylist()])

    with pytest.raises(DataError, match="nothing to audit"):
        audits.of_split(folds.Folds(split=train, pairs=[]), kind="x", shares=SHARES, seed=0)
