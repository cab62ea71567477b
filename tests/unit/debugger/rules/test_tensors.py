import numpy as np
import pytest
from recorded import asked, scalars, whole

from stocktake.debugger.errors import RuleError
from stocktake.debugger.rules.tensors import SAME


def test_a_tensor_of_zeros_fires():
    rows = scalars("fc", [0.99, 1.0], collection="weights", statistic="zeros")

    assert asked(rows, "AllZero") == [1]
    assert asked(rows, "AllZero", threshold="99") == [0, 1]


def test_some_zeros_are_healthy():
    rows = scalars("fc", [0.5, 0.0], collection="weights", statistic="zeros")

    assert asked(rows, "AllZero") == []


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"max_threshold": 5}, [2]),
        ({"min_threshold": 0.5}, [0]),
        ({"min_threshold": "0.5", "max_threshold": "5"}, [0, 2]),
        ({"max_threshold": 100}, []),
    ],
)
def test_a_variance_beyond_its_thresholds_fires(given, steps):
    rows = scalars("fc", [0.1, 1.0, 3.0], collection="weights", statistic="std")

    assert asked(rows, "TensorVariance", **given) == steps


def test_a_variance_without_thresholds_cannot_be_judged():
    with pytest.raises(RuleError, match="needs max_threshold or min_threshold"):
        asked(scalars("loss", [1]), "TensorVariance")


def test_what_stays_for_three_steps_is_unchanged_as_in_2019():
    rows = whole("a", {0: [1.0, 2.0], 1: [1.0, 2.0], 2: [1.0, 2.0]}) + whole("b", {5: [1.0]})

    assert asked(rows, "UnchangedTensor", tensor_regex=".*") == [2]


def test_what_stays_but_for_less_than_the_tolerance_is_unchanged():
    rows = whole("a", {0: [1.0], 3: [1.0 + 9e-6], 9: [1.0]})

    assert asked(rows, "UnchangedTensor") == [9]
    assert asked(rows, "UnchangedTensor", rtol=1e-6) == []


def test_what_moves_in_one_element_has_changed():
    rows = whole("a", {0: [1.0, 1.0], 1: [1.0, 1.0], 2: [1.0, 1.1]})

    assert asked(rows, "UnchangedTensor") == []


def test_nan_is_the_same_as_nan_only_if_asked():
    rows = whole("a", {step: [np.nan] for step in range(3)})

    assert asked(rows, "UnchangedTensor") == []
    assert asked(rows, "UnchangedTensor", equal_nan="true") == [2]


def test_statistics_that_all_stay_show_a_tensor_that_stays():
    stays = [
        row for one in SAME for row in scalars("a", [1, 1, 1], collection="weights", statistic=one)
    ]
    moves = scalars("a", [1, 1, 1 + 1e-12], collection="weights", statistic="mean")

    assert asked(stays, "UnchangedTensor") == [2]
    assert asked(stays + moves, "UnchangedTensor") == []


def test_updates_as_large_as_many_weights_fire_and_so_do_tiny_ones():
    rows = whole("a", {0: [1.0, 1.0], 1: [1.01, 1.0], 2: [21.0, 21.0], 3: [21.0, 21.0]})

    assert asked(rows, "WeightUpdateRatio") == [2, 3]


def test_updates_are_read_from_statistics_too():
    size = scalars("a", [1.0, 1.0, 1.0, 1.0], collection="weights", statistic="abs_mean")
    moved = scalars(
        "a", {1: 1e-3, 2: 11.0, 3: 0.0}, collection="weights", statistic="update_abs_mean"
    )

    assert asked(size + moved, "WeightUpdateRatio") == [2, 3]


def test_updates_over_some_steps_are_of_the_first_not_further_back():
    rows = whole("a", {0: [1.0], 5: [20.0], 9: [25.0]})

    assert asked(rows, "WeightUpdateRatio") == [5]
    assert asked(rows, "WeightUpdateRatio", num_steps=4) == []
    assert asked(rows, "WeightUpdateRatio", num_steps=9) == [5, 9]
