import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import metrics
from stocktake.measure.metrics import Statistic

SAID = np.array([1, 2, 3, 3, 5, 1])
TRUE = np.array([1, 3, 3, 1, 4, 4])


def test_errors_by_hand():
    assert metrics.accuracy(SAID, TRUE) == pytest.approx(2 / 6)
    assert metrics.within_one(SAID, TRUE) == pytest.approx(4 / 6)
    assert metrics.mae(SAID, TRUE) == pytest.approx((1 + 2 + 1 + 3) / 6)
    assert metrics.rmse(SAID, TRUE) == pytest.approx(((1 + 4 + 1 + 9) / 6) ** 0.5)


def test_confusion_by_hand_has_rows_above_what_can_be_said():
    table = metrics.confusion(np.array([1, 1, 2]), np.array([1, 2, 4]), max_count=2)

    assert table.tolist() == [[0, 0, 0], [0, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 1]]


def test_nll_and_brier_by_hand():
    log_probs = np.log(np.array([[0.5, 0.25, 0.25], [0.1, 0.8, 0.1]]))
    counts = np.array([0, 2])

    assert metrics.nll(log_probs, counts) == pytest.approx(-(np.log(0.5) + np.log(0.1)) / 2)
    first, second = 0.25 + 2 * 0.0625, 0.01 + 0.64 + 0.81
    assert metrics.brier(log_probs, counts) == pytest.approx((first + second) / 2)


def test_a_count_that_cannot_be_said_is_wrong_and_floored():
    log_probs = np.log(np.array([[0.2, 0.8]]))
    beyond = np.array([7])

    assert metrics.nll(log_probs, beyond) == pytest.approx(-np.log(metrics.NLL_FLOOR))
    assert metrics.brier(log_probs, beyond) == pytest.approx(0.04 + 0.64 + 1)
    assert metrics.expected_calibration_error(log_probs, beyond) == pytest.approx(0.8)


def test_calibration_error_by_hand():
    # Two photos at 0.8 of which one is right, two at 0.6 both right: (2 * 0.3 + 2 * 0.4) / 4.
    sure, unsure = [0.8, 0.2], [0.4, 0.6]
    log_probs = np.log(np.array([sure, sure, unsure, unsure]))

    found = metrics.expected_calibration_error(log_probs, np.array([0, 1, 1, 1]), bins=10)

    assert found == pytest.approx(0.35)


def test_a_confidence_on_an_edge_falls_into_the_bin_below():
    _, _, places = metrics.by_confidence(
        np.log([[0.5, 0.5], [1.0, 1e-30]]), np.array([0, 0]), bins=2
    )

    assert places.tolist() == [0, 1]


def test_scikit_learn_agrees(fold_of):
    theirs = pytest.importorskip("sklearn.metrics")
    fold = fold_of("test", 700, seed=3)
    said = fold.log_probs.argmax(axis=1)
    log_probs, counts = fold.log_probs.astype(np.float64), fold.counts
    probabilities = np.exp(log_probs)

    assert metrics.accuracy(said, counts) == theirs.accuracy_score(counts, said)
    assert metrics.rmse(said, counts) == pytest.approx(theirs.root_mean_squared_error(counts, said))
    assert metrics.mae(said, counts) == pytest.approx(theirs.mean_absolute_error(counts, said))
    assert metrics.quadratic_kappa(said, counts) == pytest.approx(
        theirs.cohen_kappa_score(counts, said, weights="quadratic")
    )
    labels = list(range(6))
    assert (
        metrics.confusion(said, counts, max_count=5)
        == theirs.confusion_matrix(counts, said, labels=labels)
    ).all()
    assert metrics.nll(log_probs, counts, floor=0) == pytest.approx(
        theirs.log_loss(counts, probabilities, labels=labels), rel=1e-6
    )
    assert metrics.brier(log_probs, counts) == pytest.approx(
        theirs.brier_score_loss(counts, probabilities, labels=labels, scale_by_half=False), rel=1e-5
    )


def test_scikit_learn_agrees_on_answers_off_by_one(fold_of):
    theirs = pytest.importorskip("sklearn.metrics")
    fold = fold_of("test", 300, seed=6)
    said = fold.log_probs.argmax(axis=1)
    nearest = np.clip(fold.counts, said - 1, said + 1)  # what an answer may stand for

    assert metrics.within_one(said, fold.counts) == theirs.accuracy_score(fold.counts, nearest)


def test_scikit_learn_agrees_on_confidence(fold_of):
    theirs = pytest.importorskip("sklearn.calibration")
    fold = fold_of("test", 700, seed=3)
    confidence, right, places = metrics.by_confidence(fold.log_probs, fold.counts)
    observed, stated = theirs.calibration_curve(right, confidence, n_bins=metrics.BINS)
    photos = np.bincount(places)[np.unique(places)]

    assert [right[places == place].mean() for place in np.unique(places)] == pytest.approx(observed)
    assert metrics.expected_calibration_error(fold.log_probs, fold.counts) == pytest.approx(
        (photos @ np.abs(observed - stated)) / 700
    )


def test_kappa_of_a_single_count_is_zero_not_nan():
    assert metrics.quadratic_kappa(np.array([3, 3]), np.array([3, 3])) == 0


def all_statistics(fold) -> dict[str, Statistic]:
    said = fold.log_probs.argmax(axis=1)
    return {
        "correct": metrics.correct(said, fold.counts),
        "near": metrics.near(said, fold.counts),
        "squared": metrics.squared(said, fold.counts),
        "absolute": metrics.absolute(said, fold.counts),
        "agreement": metrics.agreement(said, fold.counts),
        "surprise": metrics.surprise(fold.log_probs, fold.counts),
        "brier": metrics.brier_of(fold.log_probs, fold.counts),
        "gap": metrics.calibration_gap(fold.log_probs, fold.counts),
    }


@pytest.mark.parametrize("batch", [1, 7, 64, 1000])
def test_figures_do_not_depend_on_the_batch_size(fold_of, batch):
    for one in all_statistics(fold_of("test", 333, seed=4)).values():
        sums = [one.terms[i : i + batch].sum(axis=0) for i in range(0, 333, batch)]

        assert float(one.combine(np.sum(sums, axis=0) / 333)) == pytest.approx(one.value, rel=1e-9)


def test_many_means_combine_like_one(fold_of):
    for one in all_statistics(fold_of("test", 50, seed=5)).values():
        mean = one.terms.mean(axis=0)

        assert one.combine(np.stack([mean, mean])).tolist() == [one.value, one.value]


def test_lengths_that_differ_and_no_photos_are_clear_errors():
    with pytest.raises(DataError, match="2 answers but 1 true counts"):
        metrics.accuracy(np.array([1, 2]), np.array([1]))
    with pytest.raises(DataError, match="no photos"):
        metrics.nll(np.zeros((0, 3)), np.array([], dtype=int))
