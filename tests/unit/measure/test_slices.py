import numpy as np
import pytest

from stocktake.measure import bootstrap, metrics
from stocktake.measure.slices import FEW, UNKNOWN, Parting, bands, measured, quarters, whole

WORDS = ("low", "second", "third", "high")


def of(partings, said, counts, groups=None):
    groups = np.arange(len(said)) if groups is None else groups
    return measured(partings, said, counts, groups, resamples=100, seed=0)


def test_quarters_are_of_equal_size_and_say_their_ends():
    cut = quarters("size", np.arange(1.0, 401.0), WORDS)

    assert np.bincount(cut.places).tolist() == [100] * 4
    assert cut.labels == ["low (to 101)", "second (to 200)", "third (to 300)", "high (above 300)"]


def test_equal_values_stay_together_and_unknown_ones_apart():
    values = np.array([1.0] * 6 + [2.0, 3.0, np.nan])
    cut = quarters("size", values, WORDS)

    assert len(set(cut.places[:6])) == 1
    assert cut.places[-1] == -1 and cut.places[7] == 3


def test_of_nothing_known_all_is_unknown():
    cut = quarters("size", np.full(3, np.nan), WORDS)

    (only,) = of([cut], np.ones(3), np.ones(3))
    assert (only.label, only.n) == (UNKNOWN, 3)


def test_whole_numbers_are_gathered_from_the_most_on():
    assert whole("products", np.array([0.0, 2, 5, 9, np.nan]), most=5).places.tolist() == [
        0, 2, 5, 5, -1,
    ]  # fmt: skip
    assert whole("products", np.array([7.0]), most=5).labels[-1] == "5 or more"
    assert whole("products", np.array([5.0]), most=5).labels[-1] == "5"


def test_bands_say_their_first_and_last():
    cut = bands("id", np.arange(10.0, 110.0))

    assert cut.labels[0] == "10 to 29" and cut.labels[-1] == "90 to 109"
    assert np.bincount(cut.places).tolist() == [20] * 5


def test_figures_are_those_of_the_photos_inside_resampled_by_group(fold_of):
    fold = fold_of("test", 400, seed=1)
    said = fold.log_probs.argmax(axis=1)
    places = np.arange(400) % 2
    groups = np.arange(400) // 4
    first, second = of([Parting(name="half", labels=("a", "b"), places=places)], said,
                       fold.counts, groups)  # fmt: skip

    assert [first.label, second.label] == ["a", "b"]
    assert first.n == 200 and first.groups == 100
    here = places == 0
    expected = bootstrap.estimates(
        {"rmse": metrics.squared(said[here], fold.counts[here])}, groups[here], resamples=100,
        seed=0,
    )  # fmt: skip
    assert first.metrics["rmse"] == expected["rmse"]
    assert first.metrics["accuracy"].value == (said[here] == fold.counts[here]).mean()
    assert "100 groups" in first.metrics["within_one"].method


def test_a_weak_part_is_found():
    counts = np.full(200, 3)
    said = np.where(np.arange(200) < 50, 5, 3)
    found = of([quarters("size", np.arange(200.0), WORDS)], said, counts)

    assert [one.metrics["accuracy"].value for one in found] == [0, 1, 1, 1]
    assert found[0].metrics["rmse"].value == 2 and found[0].metrics["within_one"].value == 0


@pytest.mark.parametrize(("n", "is_few"), [(FEW - 1, True), (FEW, False)])
def test_few_photos_are_kept_and_marked(n, is_few):
    (only,) = of([whole("count", np.zeros(n), most=2)], np.zeros(n), np.zeros(n))

    assert only.is_few is is_few


def test_parts_without_photos_are_left_out():
    found = of([whole("count", np.array([0.0, 4.0]), most=5)], np.zeros(2), np.zeros(2))

    assert [one.label for one in found] == ["0", "4"]
