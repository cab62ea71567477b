from dataclasses import replace

import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import metrics
from stocktake.measure.scorecard import Resampling, build, calibrate, reliability
from stocktake.schema.cards import ScoreCard

TRAIN = {0: 10, 1: 20, 2: 30, 3: 30, 4: 20, 5: 10}


def card_of(fold, calibration, decoding: str = "mode") -> ScoreCard:
    return build(
        fold,
        calibration,
        train_counts=TRAIN,
        decoding=decoding,
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
