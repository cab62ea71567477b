"""SageMaker's rule against a table worked by hand.

Validation losses of three earlier trials, running averages in brackets, and their median:

| epoch |  first      |  second     |  third      | median of averages |
|-------|-------------|-------------|-------------|--------------------|
|   1   | 1.0 [1.0]   | 2.0 [2.0]   | 1.5 [1.50]  | 1.5                |
|   2   | 0.8 [0.9]   | 1.0 [1.5]   | 1.0 [1.25]  | 1.25               |
|   3   | 0.6 [0.8]   | 0.9 [1.3]   | ended       | (0.8 + 1.3) / 2    |
|   4   | 0.6 [0.75]  | ended       | ended       | 0.75               |
|   5   | ended       | ended       | ended       | none: go on        |
"""

import math

import pytest

from stocktake.tune.stoppers import stoppers

EARLIER = [(1.0, 0.8, 0.6, 0.6), (2.0, 1.0, 0.9), (1.5, 1.0)]

BY_HAND = [
    ((1.6,), True),
    ((1.5,), False),  # equal is not worse
    ((1.6, 1.25), False),  # its own first epoch no longer matters: the value counts
    ((0.1, 1.26), True),  # nor does its own average, 0.68
    ((0.1, 0.1, 1.04), False),
    ((0.1, 0.1, 1.06), True),
    ((0.1, 0.1, 0.1, 0.75), False),
    ((0.1, 0.1, 0.1, 0.76), True),
    ((0.1, 0.1, 0.1, 0.1, 99.0), False),  # nobody has been here
]


@pytest.mark.parametrize(("current", "stops"), BY_HAND)
def test_the_rule_is_the_table(current, stops):
    assert stoppers.make("median", direction="minimize")(current, EARLIER) is stops


@pytest.mark.parametrize(("current", "stops"), BY_HAND)
def test_worse_is_lower_when_maximising(current, stops):
    upside_down = [[-v for v in history] for history in EARLIER]
    rule = stoppers.make("median", direction="maximize")

    assert rule([-v for v in current], upside_down) is stops


def test_the_first_trial_is_never_stopped():
    assert not stoppers.make("median", direction="minimize")([9.0], [])
    assert not stoppers.make("median", direction="minimize")([], EARLIER)


@pytest.mark.parametrize("direction", ["minimize", "maximize"])
def test_a_value_that_is_no_number_is_the_worst(direction):
    rule = stoppers.make("median", direction=direction)

    assert rule([math.nan], [[1.0], [1.0], [math.nan]])
    assert not rule([1.0], [[math.nan]])


def test_none_stops_nothing():
    assert not stoppers.make("none", direction="minimize")([99.0], [[0.1]])


def test_every_stopper_is_pure_and_says_what_it_is():
    for name in stoppers.names():
        rule = stoppers.make(name, direction="minimize")

        assert [rule((1.6,), EARLIER) for _ in range(3)] == [rule((1.6,), EARLIER)] * 3
        assert stoppers.about(name)
