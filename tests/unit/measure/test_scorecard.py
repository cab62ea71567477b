from dataclasses import replace

import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import metrics
from stocktake.measure.calibration import with_temperature
from stocktake.measure.decoding import decode
from stocktake.measure.prior import log_ratio
from stocktake.measure.scorecard import Reading, Resampling, build, calibrate, choose, reliability
from stocktake.measure.slices import whole
from stocktake.schema.cards import ScoreCard

TRAIN = {0: 10, 1: 20, 2: 30, 3: 30, 4: 20, 5: 10}


def card_of(fold, calibration, decode: str = "mode", **reading) -> ScoreCard:
    return build(
        fold,
        calibration,
        train_counts=TRAIN,
        reading=Reading(decode=decode, **reading),
        resampling=Resampling(resamples=200, seed=1),
    )


@pytest.fixture
def calibration(fold_of):
    return calibrate(fold_of("calib", 800, seed=1), coverage=0.9)


@pytest.fixture
def card(fold_of, calibration) -> ScoreCard:
    return card_of(fold_of("test", 600, seed=2), calibration)


def test_every_number_lies_in_its_interval_and_says_its_photos(card):
    for estimate in card.metrics.values():
        assert estimate.low <= estimate.value <= estimate.high
        assert estimate.n == card.n == 600 and estimate.method
    assert card.groups == 300


def test_calibration_makes_sure_answers_honest(card, calibration):
    assert calibration.temperature == pytest.approx(2.0, rel=0.1)
    assert card.metrics["ece"].value < 0.5 * card.metrics["ece_before"].value
    assert card.metrics["nll"].value < card.metrics["nll_before"].value
    assert card.metrics["covered"].value == pytest.approx(0.9, abs=0.03)
    assert calibration.fold == "calib" and calibration.n == 800


def test_the_table_adds_up_to_the_whole(card):
    sizes = np.array([row.n for row in card.per_count])
    right = np.array([row.accuracy.value for row in card.per_count])
    squares = np.array([row.rmse.value**2 for row in card.per_count])

    assert sizes.sum() == card.n
    assert (sizes @ right) / card.n == pytest.approx(card.metrics["accuracy"].value)
    assert ((sizes @ squares) / card.n) ** 0.5 == pytest.approx(card.metrics["rmse"].value)
    confusion = np.array(card.confusion)
    assert np.trace(confusion) / confusion.sum() == pytest.approx(card.metrics["accuracy"].value)


def test_scikit_learn_agrees_count_by_count(fold_of, calibration, card):
    theirs = pytest.importorskip("sklearn.metrics")
    fold = fold_of("test", 600, seed=2)
    said = decode(with_temperature(fold.log_probs, calibration.temperature))
    recalls = theirs.recall_score(fold.counts, said, average=None)

    assert [row.accuracy.value for row in card.per_count] == pytest.approx(recalls)
    for row in card.per_count:
        here = fold.counts == row.count
        assert row.rmse.value == pytest.approx(
            theirs.root_mean_squared_error(fold.counts[here], said[here])
        )
        assert (row.n, row.rmse.n) == (here.sum(), here.sum())


def test_the_order_of_photos_does_not_matter(fold_of, calibration, card):
    fold = fold_of("test", 600, seed=2)
    order = np.random.default_rng(0).permutation(600)
    names = ("log_probs", "counts", "groups")
    found = card_of(replace(fold, **{n: getattr(fold, n)[order] for n in names}), calibration)

    for name, estimate in card.metrics.items():
        for end in ("value", "low", "high"):
            assert getattr(found.metrics[name], end) == pytest.approx(getattr(estimate, end))


def test_baselines_are_scored_on_the_same_photos(card):
    majority = card.baselines["majority"]
    share = sum(row.n for row in card.per_count if row.count == 2) / card.n

    assert majority.answer == 2 and majority.metrics["accuracy"].value == pytest.approx(share)
    assert card.metrics["over_majority"].value == pytest.approx(
        card.metrics["accuracy"].value - share
    )
    exact = {row.count: row.baselines["majority"]["accuracy"] for row in card.per_count}
    assert exact == {0: 0, 1: 0, 2: 1, 3: 0, 4: 0, 5: 0}
    assert card.per_count[5].baselines["majority"]["rmse"] == 3
    assert card.per_count[1].baselines["frequency"]["accuracy"] == pytest.approx(20 / 120)


def test_each_decoding_is_on_the_card(fold_of, calibration, card):
    by_mean = card_of(fold_of("test", 600, seed=2), calibration, "mean")

    assert by_mean.metrics["rmse"].value == card.decodings["mean"]["rmse"].value
    assert card.decodings["mode"]["accuracy"] == card.metrics["accuracy"]
    assert card.decodings["mean"]["rmse"].value < card.decodings["mode"]["rmse"].value


def test_counts_beyond_the_model_are_wrong_and_told(fold_of, calibration):
    fold = fold_of("test", 200, seed=3)
    counts = fold.counts.copy()
    counts[:20] = 9
    found = card_of(replace(fold, counts=counts), calibration)

    assert found.beyond_max_count == 20 and found.floored >= 20
    last = found.per_count[-1]
    assert (last.count, last.n, last.accuracy.value) == (9, 20, 0.0)
    assert len(found.confusion) == 10 and len(found.confusion[0]) == 6
    assert found.metrics["covered"].value <= 0.9


def test_reliability_bins_hold_every_photo(fold_of):
    fold = fold_of("test", 500, seed=4)
    bins = reliability(fold.log_probs, fold.counts)

    assert sum(one.accuracy.n for one in bins) == 500
    assert all(one.low < one.confidence <= one.high for one in bins)
    gaps = sum(one.accuracy.n * abs(one.accuracy.value - one.confidence) for one in bins) / 500
    assert gaps == pytest.approx(metrics.expected_calibration_error(fold.log_probs, fold.counts))


def test_photos_that_fitted_the_calibration_are_not_judged(fold_of, calibration):
    with pytest.raises(DataError, match="judge another"):
        card_of(fold_of("calib", 50, seed=5), calibration)


def test_an_empty_fold_is_a_clear_error(fold_of):
    with pytest.raises(DataError, match="test fold has no scored photo"):
        fold_of("test", 0, seed=6)


def test_a_single_photo_still_makes_a_card(fold_of, calibration):
    found = card_of(fold_of("test", 1, seed=7), calibration)

    assert found.n == 1 and found.metrics["rmse"].method == "none: one sibling group"


def test_each_decoding_is_told_where_it_is_meant_to_be_good(card):
    rows = {(one.decode, one.metric): one.estimate for one in card.by_decoding}

    assert list(rows) == [
        ("mode", "accuracy"),
        ("median", "mae"),
        ("mean", "rmse"),
        ("mean", "within_one"),
        ("window", "within_one"),
    ]
    assert all(rows[way, figure] == card.decodings[way][figure] for way, figure in rows)


def test_the_choice_is_what_the_other_fold_says(fold_of, calibration):
    val = fold_of("val", 500, seed=8)
    choice = choose(val, calibration, Reading(), metric="rmse")
    on_val = card_of(val, calibration).decodings

    assert (choice.metric, choice.fold, choice.n) == ("rmse", "val", 500)
    figures = {way: found["rmse"].value for way, found in on_val.items()}
    assert choice.values == pytest.approx(figures)
    assert next(iter(choice.values)) == min(figures, key=figures.get)


def test_photos_that_chose_the_decoding_are_not_judged(fold_of, calibration):
    val = fold_of("val", 50, seed=8)
    choice = choose(val, calibration, Reading(), metric="rmse")

    with pytest.raises(DataError, match="chose the decoding"):
        card_of(val, calibration, choice=choice)


def test_slices_are_of_the_answers_judged(fold_of, calibration):
    fold = fold_of("test", 300, seed=9)
    parting = whole("true count", fold.counts.astype(float), most=9)
    found = card_of(replace(fold, partings=(parting,)), calibration, "mean")

    for row, one in zip(found.per_count, found.slices, strict=True):
        assert (str(row.count), row.n) == (one.label, one.n)
        assert one.metrics["accuracy"].value == pytest.approx(row.accuracy.value)
        assert one.metrics["rmse"].value == pytest.approx(row.rmse.value)


def test_another_mix_moves_answers_after_the_temperature(fold_of):
    """A mix that is all of one count is answered with that count alone."""
    mix = "2=0,4=1"
    reading = {"ratio": log_ratio(mix, TRAIN, max_count=5), "mix": mix}
    fitted = calibrate(fold_of("calib", 400, seed=1), coverage=0.9, reading=Reading(**reading))
    found = card_of(fold_of("test", 300, seed=2), fitted, **reading)

    assert found.mix == mix and found.calibration == fitted
    answered = np.array(found.confusion).sum(axis=0)
    assert np.flatnonzero(answered).tolist() == [4]
    assert fitted.temperature == calibrate(fold_of("calib", 400, seed=1), coverage=0.9).temperature


def test_the_mix_comes_after_the_temperature_in_every_figure(fold_of, calibration):
    fold = fold_of("test", 200, seed=2)
    ratio = log_ratio("uniform", TRAIN, max_count=5)
    found = card_of(fold, calibration, ratio=ratio).metrics
    shares = np.array([TRAIN[count] for count in range(6)]) / sum(TRAIN.values())

    for name, heat in (("nll", calibration.temperature), ("nll_before", 1.0)):
        powers = np.exp(fold.log_probs.astype(np.float64)) ** (1 / heat)
        joint = powers / powers.sum(axis=1, keepdims=True) / shares
        at_truth = joint[np.arange(200), fold.counts] / joint.sum(axis=1)
        assert found[name].value == pytest.approx(-np.log(at_truth).mean(), rel=1e-5)


def test_a_mix_closer_to_the_truth_counts_better(fold_of, calibration):
    """Photos of one kind of count, judged by a model that expects all alike and one that knows."""
    fold = fold_of("test", 2000, seed=4)
    few = fold.counts <= 1
    kept = {name: getattr(fold, name)[few] for name in ("log_probs", "counts", "groups")}
    fold = replace(fold, **kept)
    flat = dict.fromkeys(range(6), 20)
    ratio = log_ratio("0=0.45,1=0.45,2=0.1", flat, max_count=5)
    blind, knowing = card_of(fold, calibration), card_of(fold, calibration, ratio=ratio)

    assert knowing.metrics["accuracy"].value > blind.metrics["accuracy"].value
    assert knowing.metrics["nll"].value < blind.metrics["nll"].value
