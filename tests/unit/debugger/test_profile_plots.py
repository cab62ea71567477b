import re
from xml.etree import ElementTree

import numpy as np
import pytest

from stocktake.debugger.profile_plots import (
    BUCKETS,
    HEIGHT,
    WIDTH,
    Line,
    buckets,
    histogram,
    nice_top,
    shares,
    time_ticks,
    timeline,
)


def line(values, *, end=100.0, name="cpu"):
    values = np.asarray(values, dtype=float)
    return Line(name=name, times=np.linspace(0, end, len(values)), values=values, colour="--model")


def inside(svg):
    """Every point of a drawing, which must be well-formed, lies in its frame."""
    root = ElementTree.fromstring(svg)
    for one in root.iter():
        for x, y in (pair.split(",") for pair in one.get("points", "").split()):
            assert 0 <= float(x) <= WIDTH and 0 <= float(y) <= HEIGHT
    return root


def test_a_line_runs_from_its_lowest_to_its_highest():
    root = inside(timeline([line([0, 50, 100])], unit="%", end_s=100, top=100))
    points = next(one for one in root.iter("polyline")).get("points").split()
    heights = [float(one.split(",")[1]) for one in points]

    assert heights == sorted(heights, reverse=True) and len(points) == 3


def test_what_it_shows_is_told_in_words():
    svg = timeline([line([10, 30], name="<gpu>")], unit="%", end_s=10)

    assert 'aria-label="&lt;gpu&gt; 20 % on average, at most 30"' in svg


@pytest.mark.parametrize("values", [[], [5.0], [0.0, 0.0], [1e12, 0]])
def test_little_and_much_can_be_drawn(values):
    inside(timeline([line(values)], unit="MB/s", end_s=0.0 if len(values) < 2 else 100))


def test_many_points_become_a_line_and_its_range():
    values = np.random.default_rng(0).uniform(0, 100, 5000)
    root = inside(timeline([line(values)], unit="%", end_s=100, top=100))

    assert len(next(root.iter("polyline")).get("points").split()) == BUCKETS
    assert len(list(root.iter("polygon"))) == 1


def test_a_bucket_keeps_its_lowest_mean_and_highest():
    times, values = np.linspace(0, 99.99, 2200), np.tile([0.0, 0, 0, 0, 0, 0, 0, 0, 0, 10], 220)
    middles, low, mean, high = buckets(times, values, 100.0)

    assert len(middles) == BUCKETS and np.all(np.diff(middles) > 0)
    assert low.max() == 0 and high.max() == 10 and mean.mean() == pytest.approx(1, abs=0.05)


def test_a_single_long_step_is_seen_among_thousands():
    root = inside(histogram(np.array([10.0] * 5000 + [99.0]), unit="ms", colour="--model"))
    heights = [float(one.get("height")) for one in root.iter("rect")]

    assert len(heights) == 2 and min(heights) > 1


def test_the_bound_is_drawn_where_it_lies_inside():
    values = np.array([1.0, 2.0, 9.0])

    assert 'class="mark"' in histogram(values, unit="ms", colour="--model", mark=5.0)
    assert 'class="mark"' not in histogram(values, unit="ms", colour="--model", mark=500.0)
    inside(histogram(np.array([]), unit="ms", colour="--model", mark=1.0))


def test_shares_fill_the_bar():
    root = ElementTree.fromstring(shares([("a", 25.0, "--p0"), ("b & c", 75.0, "--p1")]))
    widths = [float(one.get("width")) for one in root.iter("rect")]

    assert sum(widths) == pytest.approx(WIDTH, abs=2) and widths[1] / widths[0] > 2.9
    assert root.get("aria-label") == "a 25 %, b & c 75 %"


@pytest.mark.parametrize(
    ("value", "top"), [(0, 1), (-3, 1), (float("nan"), 1), (0.7, 0.8), (1157, 1500), (9.1, 10)]
)
def test_axes_end_at_round_numbers(value, top):
    assert nice_top(value) == pytest.approx(top)


@pytest.mark.parametrize(
    ("end_s", "unit"),
    [(0.45, "s"), (7, "s"), (100, "s"), (750, "min"), (86400, "h"), (900000, "h")],
)
def test_times_are_few_and_round(end_s, unit):
    ticks, _, found = time_ticks(end_s)

    assert 2 <= len(ticks) <= 8 and ticks[-1] <= end_s
    assert found == unit
    assert ticks[-1] >= end_s / 2


def test_drawings_take_the_pages_colours():
    svg = timeline([line([1, 2, 3])], unit="%", end_s=3) + shares([("a", 100.0, "--p0")])

    assert re.findall("#[0-9a-fA-F]{3,6}", svg) == [] and "var(--model)" in svg
