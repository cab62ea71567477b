import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import bootstrap, metrics
from stocktake.measure.bootstrap import estimates, resampled_means, wilson


def of(terms, groups, **changes):
    options = {"resamples": 2000, "seed": 0} | changes
    return estimates({"it": metrics.mean_of(np.asarray(terms))}, np.asarray(groups), **options)[
        "it"
    ]


def test_wilson_by_the_book():
    # 8 of 10: Newcombe 1998 and Brown, Cai, DasGupta 2001 give 0.490 to 0.943.
    found = wilson(8, 10)

    assert (found.low, found.high) == (
        pytest.approx(0.490, abs=5e-4),
        pytest.approx(0.943, abs=5e-4),
    )
    assert found.value == 0.8 and found.n == 10 and "Wilson 95%" in found.method


@pytest.mark.parametrize(("right", "n"), [(0, 7), (3, 7), (250, 860), (7, 7)])
def test_scipy_agrees_on_wilson(right, n):
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.binomtest(right, n).proportion_ci(0.95, method="wilson")
    ours = wilson(right, n)

    assert (ours.low, ours.high) == (pytest.approx(theirs.low), pytest.approx(theirs.high))


@pytest.mark.parametrize(("right", "low", "high"), [(0, 0.0, 0.2775), (10, 0.7225, 1.0)])
def test_wilson_has_an_interval_where_all_are_alike(right, low, high):
    found = wilson(right, 10)

    assert (found.low, found.high) == (pytest.approx(low, abs=1e-4), pytest.approx(high, abs=1e-4))


def test_a_share_of_no_photos_is_a_clear_error():
    with pytest.raises(DataError, match="0 photos"):
        wilson(0, 0)


def test_without_siblings_the_interval_is_that_of_the_mean():
    terms = np.random.default_rng(1).normal(size=400)
    found = of(terms, np.arange(400))
    half = 1.96 * terms.std() / 20

    assert found.high - found.low == pytest.approx(2 * half, rel=0.1)
    assert "400 groups" in found.method and "2000 resamples" in found.method


def test_siblings_alike_widen_it_and_siblings_apart_narrow_it():
    terms = np.random.default_rng(2).normal(size=300)
    alone = of(terms, np.arange(300))
    alike = of(np.repeat(terms, 2), np.repeat(np.arange(300), 2))
    taken_as_alone = of(np.repeat(terms, 2), np.arange(600))
    apart = of(np.column_stack([terms, -terms]).ravel(), np.repeat(np.arange(300), 2))

    assert alike.high - alike.low == pytest.approx(alone.high - alone.low, rel=0.05)
    assert taken_as_alone.high - taken_as_alone.low < 0.8 * (alike.high - alike.low)
    assert apart.high - apart.low < 1e-9


def test_weighing_sums_equals_drawing_rows():
    rng = np.random.default_rng(3)
    terms, groups = rng.normal(size=(60, 2)), rng.integers(0, 20, 60)
    (means,) = resampled_means(terms, groups, resamples=50, seed=9)
    names, draws = np.unique(groups), np.random.default_rng(9)
    picks = draws.integers(0, len(names), size=(50, len(names)))
    for mean, pick in zip(means, picks, strict=True):
        rows = np.concatenate([terms[groups == names[place]] for place in pick])

        assert mean == pytest.approx(rows.mean(axis=0))


def test_the_same_seed_gives_the_same_interval_in_pieces_or_whole(monkeypatch):
    terms, groups = np.arange(40.0), np.arange(40) // 2
    whole = of(terms, groups, resamples=100)
    monkeypatch.setattr(bootstrap, "DRAWS_AT_ONCE", 70)

    assert of(terms, groups, resamples=100) == whole
    assert of(terms, groups, resamples=100, seed=1) != whole


def test_nominal_intervals_cover_as_promised():
    rng = np.random.default_rng(4)
    hits = 0
    for trial in range(200):
        shared = np.repeat(rng.normal(size=60), 2)
        found = of(shared + rng.normal(size=120), np.arange(120) // 2, resamples=300, seed=trial)
        hits += found.low <= 0 <= found.high

    assert 0.89 <= hits / 200 <= 0.99


def test_a_share_of_one_gets_wilsons_interval():
    sure = metrics.correct(np.ones(12), np.ones(12))
    found = estimates({"accuracy": sure}, np.arange(12), resamples=100, seed=0)["accuracy"]

    assert found.value == 1 and found.low < 0.8 and "Wilson" in found.method


def test_a_gap_is_not_pushed_up_by_its_own_noise(fold_of):
    fold = fold_of("test", 300, seed=5, heat=1.0)
    gap = {"ece": metrics.calibration_gap(fold.log_probs, fold.counts)}
    found = estimates(gap, fold.groups, resamples=500, seed=0)["ece"]

    assert 0 <= found.low < 0.02 and found.value < 0.1 and "basic" in found.method


def test_one_group_has_no_interval_and_says_so():
    found = of([1.0, 2.0], ["a", "a"])

    assert found.low == found.value == found.high and "one sibling group" in found.method


def test_lengths_that_differ_are_a_clear_error():
    with pytest.raises(DataError, match="2 photos but 1 groups"):
        of([1.0, 2.0], ["a"])
