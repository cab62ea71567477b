import subprocess
import sys

import pytest

from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.selection import (
    KNOWN,
    USUAL,
    Collection,
    check_every,
    check_statistics,
    is_due,
    near_names,
)


@pytest.mark.parametrize(
    "name", ["mean", "p5", "p99.9", "above:0.5", "below:-1e-3", "histogram", "update_ratio"]
)
def test_statistics_that_there_are_pass(name):
    check_statistics([name])


@pytest.mark.parametrize("name", ["meen", "p101", "p", "above", "above:x", "p-5", ""])
def test_a_statistic_that_there_is_not_is_one_clear_line(name):
    with pytest.raises(DebuggerError, match=f"no statistic '{name}'; they are mean, std"):
        Collection(statistics=(name,))


def test_a_broken_expression_is_one_clear_line():
    with pytest.raises(DebuggerError, match="no regular expression"):
        Collection(regex="(")


@pytest.mark.parametrize(
    ("every", "steps"),
    [(3, [0, 3, 6, 9]), (range(2, 9, 3), [2, 5, 8]), ({1, 7}, [1, 7]), (range(4, 6), [4, 5])],
)
def test_when_says_which_steps_are_saved(every, steps):
    assert [step for step in range(10) if is_due(every, step)] == steps


@pytest.mark.parametrize(
    ("every", "said"),
    [({"train": 0}, "train must be at least 1 step, got 0"), ({"trian": 1}, "did you mean train")],
)
def test_intervals_that_cannot_be_are_refused(every, said):
    with pytest.raises(DebuggerError, match=said):
        check_every(every)


def test_near_names_are_told_or_else_the_first_of_all():
    assert near_names("gradient", KNOWN).startswith("did you mean gradients")
    assert near_names("zzz", [str(n) for n in range(20)]).endswith("11 and 8 more")


def test_what_a_recorder_saves_if_told_nothing_is_known():
    assert set(USUAL) <= set(KNOWN)
    assert {"losses", "gradients", "weights", "activations"} <= set(USUAL)


def test_the_selection_can_be_read_where_there_is_no_torch():
    code = "import sys, stocktake.debugger.selection; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout == "False\n"
