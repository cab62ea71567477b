import math
import re
from functools import cache
from xml.etree import ElementTree

import pytest

from stocktake.pages import plots
from stocktake.schema.cards import Accepted, CountRow, Estimate, ReliabilityBin, Slice

TOLD = 'what it shows: "<b>" & more'


def share(value: float, n: int = 10) -> Estimate:
    spread = min(0.1, value, 1 - value)
    return Estimate(value=value, n=n, low=value - spread, high=value + spread, method="test")


def row(count: int, accuracy: float) -> CountRow:
    baselines = {"frequency": {"accuracy": 0.2}}
    part = {"accuracy": share(accuracy), "rmse": share(0.5), "baselines": baselines}
    return CountRow(count=count, n=10, **part)


def bin_at(low: float, accuracy: float, n: int = 10) -> ReliabilityBin:
    return ReliabilityBin(
        low=low, high=low + 0.1, confidence=low + 0.05, accuracy=share(accuracy, n)
    )


def accepted(of_all: float, accuracy: float) -> Accepted:
    near = share(min(1.0, accuracy + 0.1))
    return Accepted(share=of_all, least_confidence=0.3, accuracy=share(accuracy), within_one=near)


def slice_of(label: str, accuracy: float, *, is_few: bool = False) -> Slice:
    figures = {"accuracy": share(accuracy), "rmse": share(accuracy)}
    return Slice(name="blur", label=label, n=1204, groups=9, metrics=figures, is_few=is_few)


DRAWN = {
    "bars": lambda name: plots.bars(name, {"1": 30, "2": 1204}, xlabel="count", told=TOLD),
    "histogram": lambda name: plots.histogram(name, [0, 1, 2], [3, 4], xlabel="px", told=TOLD),
    "curves": lambda name: plots.curves(
        name,
        {"train": [(1, 2.0), (2, 1.0)], "validation": [(1, 2.1), (2, 1.4)]},
        ylabel="loss",
        best=2,
        told=TOLD,
    ),
    "shares": lambda name: plots.curves(
        name, {"validation": [(1, 0.2)]}, ylabel="right", best=None, told=TOLD, share=True
    ),
    "by_count": lambda name: plots.by_count(name, [row(1, 0.0), row(2, 0.6)], told=TOLD),
    "reliability": lambda name: plots.reliability(
        name, [bin_at(0.3, 0.5)], [bin_at(0.2, 0.4), bin_at(0.3, 1.0)], told=TOLD
    ),
    "selective": lambda name: plots.selective(
        name, [accepted(0.1, 0.9), accepted(1.0, 0.4)], told=TOLD
    ),
    "slices": lambda name: plots.slices(
        name,
        [slice_of("near", 0.45), slice_of("far", 0.8)],
        metric="accuracy",
        whole=0.4,
        told=TOLD,
    ),
    "trials": lambda name: plots.trials(
        name, [(0, 1.5), (2, 1.2)], metric="val_loss", best=2, told=TOLD
    ),
}


def texts(svg: str) -> list[str]:
    return re.findall(r"<text[^>]*>([^<]*)</text>", svg)


@cache
def draw(kind: str) -> str:
    return DRAWN[kind]("plot")


@pytest.fixture(params=DRAWN)
def drawn(request) -> str:
    return draw(request.param)


def test_a_drawing_is_xml_that_tells_in_words_what_it_shows(drawn):
    tree = ElementTree.fromstring(drawn)

    assert tree.tag == "svg" and tree.get("role") == "img"
    assert tree.get("aria-label") == TOLD
    assert tree.get("viewBox") and tree.get("width") is None


def test_a_drawing_takes_colours_and_font_from_the_page(drawn):
    assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r'url\(#[^)]*\)|href="#[^"]*"', "", drawn))
    assert "var(--model)" in drawn and "var(--soft)" in drawn
    assert "font-family" not in drawn and "DejaVu" not in drawn and "<style" not in drawn


def test_a_drawing_refers_to_nothing_outside(drawn):
    assert "http" not in drawn and "xlink" not in drawn and "<metadata" not in drawn
    used = set(re.findall(r'url\(#([^)]+)\)|href="#([^"]+)"', drawn))
    ids = set(re.findall(r' id="([^"]+)"', drawn))
    assert {a or b for a, b in used} == ids
    assert all(one.startswith("plot-") for one in ids)


@pytest.mark.parametrize("kind", DRAWN)
def test_the_same_plot_is_the_same_text(kind):
    assert DRAWN[kind]("plot") == draw(kind)


def test_bars_carry_their_numbers_while_these_do_not_touch():
    few = plots.bars("few", {"1": 30, "2": 1204}, xlabel="count", told=TOLD)
    many = plots.bars("many", {str(i): 1000 + i for i in range(40)}, xlabel="count", told=TOLD)

    assert {"30", "1,204"} <= set(texts(few))
    assert "1,039" not in texts(many)
    assert {"0", "4", "36"} <= set(texts(many)) and "1" not in texts(many)


def test_shares_have_the_whole_axis():
    assert {"0%", "100%"} <= set(texts(draw("shares")))
    assert {"0%", "100%"} <= set(texts(draw("by_count")))


def test_one_epoch_is_named_as_it_is():
    assert texts(draw("shares")).count("1") == 1
    assert not [text for text in texts(draw("shares")) if "." in text]


def test_values_that_are_not_finite_leave_a_gap():
    svg = plots.curves(
        "gap", {"train": [(1, 2.0), (2, math.nan), (3, 1.0)]}, ylabel="loss", best=1, told=TOLD
    )

    assert "nan" not in svg.lower()
    assert plots.curves("flat", {"train": [(1, math.nan)]}, ylabel="x", best=None, told=TOLD)


def test_negative_and_zero_values_of_trials_are_drawn():
    for values in ([(0, -2.0), (1, -1.0)], [(0, 0.0), (1, 0.0)]):
        assert plots.trials("t", values, metric="score", best=0, told=TOLD)


def test_the_best_trial_is_drawn_unlike_the_others():
    svg = plots.trials("t", [(0, 1.5), (1, 1.2), (2, 1.3)], metric="x", best=1, told=TOLD)
    uses = re.findall(r"<use [^>]*>", svg)

    assert sum("var(--model)" in use for use in uses) == 1
    assert sum("var(--base)" in use for use in uses) == 2


def test_reliability_without_bins_is_an_empty_plot():
    assert plots.reliability("r", [], [], told=TOLD)


def test_slices_stand_below_their_trait_with_n():
    found = texts(draw("slices"))

    assert [one for one in found if "n " in one or one == "blur"] == [
        "blur",
        "near, n 1,204",
        "far, n 1,204",
    ]


@pytest.mark.parametrize(
    ("row", "colour"),
    [
        (slice_of("as all", 0.45), "--model"),
        (slice_of("apart", 0.8), "--other"),
        (slice_of("few", 0.8, is_few=True), None),
    ],
)
def test_only_a_slice_apart_from_the_whole_stands_out(row, colour):
    for metric in ("accuracy", "rmse"):
        svg = plots.slices("s", [row], metric=metric, whole=0.4, told=TOLD)

        for one in ("--model", "--other"):
            assert (f"var({one})" in svg) is (one == colour)
