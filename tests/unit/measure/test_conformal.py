import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure.calibration import with_temperature
from stocktake.measure.conformal import fit_threshold, intervals, scores

ROW = np.log(np.array([[0.1, 0.15, 0.4, 0.3, 0.05]]))  # joins in order 2, 3, 1, 0, 4


@pytest.mark.parametrize(
    ("threshold", "low", "high"),
    [(0.0, 2, 2), (0.39, 2, 2), (0.4, 2, 3), (0.7, 1, 3), (0.85, 0, 3), (0.95, 0, 4), (1.0, 0, 4)],
)
def test_an_interval_grows_to_the_likelier_neighbour(threshold, low, high):
    assert [ends.tolist() for ends in intervals(ROW, threshold)] == [[low], [high]]


def test_a_score_is_what_was_gathered_before_the_true_count():
    found = scores(np.repeat(ROW, 6, axis=0), np.arange(6))

    assert found == pytest.approx([0.85, 0.7, 0.0, 0.4, 0.95, np.inf])


def test_the_threshold_is_the_rank_that_finite_samples_need():
    # Nine photos: ceil(10 * 0.9) = 9, the largest score; 10 would need a tenth photo.
    counts = np.array([2, 2, 2, 2, 2, 3, 3, 1, 0])
    rows = np.repeat(ROW, 9, axis=0)

    assert fit_threshold(rows, counts, coverage=0.9) == pytest.approx(0.85)
    assert fit_threshold(rows, counts, coverage=0.8) == pytest.approx(0.7)
    assert fit_threshold(rows, counts, coverage=0.5) == 0.0
    assert fit_threshold(rows, counts, coverage=0.95) == 1.0


def test_counts_the_model_cannot_say_widen_the_intervals():
    rows, counts = np.repeat(ROW, 20, axis=0), np.array([2] * 17 + [8] * 3)

    assert fit_threshold(rows, counts, coverage=0.9) == 1.0


def test_coverage_is_kept_on_photos_not_seen(fold_of):
    for coverage in (0.7, 0.9):
        held = []
        for seed in range(20):
            calib = fold_of("calib", 300, seed=seed)
            test = fold_of("test", 300, seed=100 + seed)
            threshold = fit_threshold(calib.log_probs, calib.counts, coverage=coverage)
            low, high = intervals(test.log_probs, threshold)
            held.append(((low <= test.counts) & (test.counts <= high)).mean())

        assert coverage - 0.015 < np.mean(held) < coverage + 0.03


def test_intervals_hold_the_mode_and_grow_with_the_threshold(fold_of):
    log_probs = fold_of("test", 400, seed=7, max_count=12).log_probs
    mode = log_probs.argmax(axis=1)
    before_low, before_high = mode, mode
    for threshold in np.linspace(0, 1, 21):
        low, high = intervals(log_probs, float(threshold))

        assert (low <= before_low).all() and (before_high <= high).all()
        before_low, before_high = low, high
    assert (before_low == 0).all() and (before_high == 12).all()


def test_float32_rounding_does_not_move_an_interval(fold_of):
    calib = fold_of("calib", 200, seed=8)
    exact = with_temperature(calib.log_probs.astype(np.float64), 1.3)
    threshold = fit_threshold(exact, calib.counts, coverage=0.9)
    ours, theirs = intervals(exact, threshold), intervals(exact.astype(np.float32), threshold)

    assert (ours[0] == theirs[0]).all() and (ours[1] == theirs[1]).all()


def test_no_photos_and_a_wrong_coverage_are_clear_errors():
    with pytest.raises(DataError, match="no photos"):
        fit_threshold(np.zeros((0, 3)), np.zeros(0, dtype=int), coverage=0.9)
    with pytest.raises(ValueError, match="between 0 and 1"):
        fit_threshold(ROW, np.array([2]), coverage=90)


def test_a_model_of_one_count_has_one_interval():
    low, high = intervals(np.zeros((2, 1)), 0.5)

    assert low.tolist() == high.tolist() == [0, 0]
