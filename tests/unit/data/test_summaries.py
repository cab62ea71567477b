import numpy as np
import pytest

from stocktake.data import summaries


def test_a_measure_has_summary_and_bars_for_every_value():
    found = summaries.measured(np.arange(101.0))

    assert (found["n"], found["min"], found["median"], found["max"]) == (101, 0, 50, 100)
    assert sum(found["histogram"]["photos"]) == 101
    assert len(found["histogram"]["edges"]) == summaries.BINS + 1
    assert "beyond" not in found["histogram"]


def test_the_last_bar_takes_a_long_tail():
    values = np.concatenate([np.linspace(0, 10, 995), [1e6] * 5])
    histogram = summaries.measured(values, has_tail=True)["histogram"]

    assert sum(histogram["photos"]) == 1000
    assert histogram["edges"][-1] < 11
    assert histogram["beyond"] == 10


def test_equal_values_are_one_bar():
    for has_tail in (False, True):
        histogram = summaries.measured(np.full(7, 224), has_tail=has_tail)["histogram"]

        assert (histogram["edges"], histogram["photos"]) == ([224, 224], [7])


def test_of_no_values_only_that_is_said():
    assert summaries.measured(np.array([])) == {"n": 0}
    assert summaries.whole(np.array([], dtype=np.int64)) == {"n": 0}
    assert summaries.upper_fence(np.array([1.0, 2.0, 3.0])) is None


def test_large_whole_numbers_are_gathered():
    assert summaries.whole(np.array([1, 30, 31, 209]))["times"] == {"1": 1, "30+": 3}


def test_the_fence_stands_as_far_beyond_the_upper_quartile_as_tukey_says():
    """Quartiles 10 and 1000: a factor of 100 apart, so the fence is 100 ** 1.5 above."""
    values = np.array([1.0, 10.0, 100.0, 1000.0, 10_000.0])

    assert summaries.upper_fence(values) == pytest.approx(1e6, rel=1e-6)
    assert summaries.upper_fence(np.append(values, [0, 0, 0])) == summaries.upper_fence(values)


def test_a_list_says_how_many_there_are_beyond_what_is_shown():
    found = summaries.listed([str(i) for i in range(250)])

    assert found["photos"] == 250
    assert len(found["shown"]) == summaries.SHOWN
