import math

import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure.calibration import HIGHEST, LOWEST, fit_temperature, with_temperature
from stocktake.measure.metrics import nll


def test_the_heat_that_was_put_in_is_found_again(fold_of):
    for heat in (0.5, 1.0, 2.5):
        fold = fold_of("calib", 4000, seed=1, heat=heat)

        assert fit_temperature(fold.log_probs, fold.counts) == pytest.approx(heat, rel=0.06)


def test_it_is_where_scipy_finds_the_lowest_loss(fold_of):
    optimize = pytest.importorskip("scipy.optimize")
    fold = fold_of("calib", 500, seed=2)

    def loss(log_t):
        return nll(with_temperature(fold.log_probs, math.exp(log_t)), fold.counts, floor=0)

    theirs = optimize.minimize_scalar(loss, bounds=(math.log(LOWEST), math.log(HIGHEST)))
    ours = fit_temperature(fold.log_probs.astype(np.float64), fold.counts)

    assert math.log(ours) == pytest.approx(theirs.x, abs=1e-3)


def test_rows_stay_distributions_of_the_same_type_and_order(fold_of):
    log_probs = fold_of("calib", 50, seed=3).log_probs
    softened = with_temperature(log_probs, 3.0)

    assert softened.dtype == np.float32
    assert np.exp(softened.astype(np.float64)).sum(axis=1) == pytest.approx(1, abs=1e-6)
    assert (softened.argmax(axis=1) == log_probs.argmax(axis=1)).all()
    assert (softened.max(axis=1) < log_probs.max(axis=1)).all()


def test_temperature_one_changes_nothing():
    log_probs = np.log(np.array([[0.7, 0.2, 0.1]]))

    assert with_temperature(log_probs, 1.0) == pytest.approx(log_probs)


def test_by_hand_two_halves_the_log_odds():
    row = np.exp(with_temperature(np.log(np.array([[0.9, 0.1]])), 2.0))[0]

    assert row[0] / row[1] == pytest.approx(3.0)


def test_impossible_counts_keep_probability_zero():
    log_probs = np.array([[-np.inf, np.log(0.25), np.log(0.75)]])

    assert np.exp(with_temperature(log_probs, 2.0))[0, 0] == 0


def test_photos_that_no_temperature_helps_take_no_part(fold_of):
    fold = fold_of("calib", 300, seed=4)
    more = np.concatenate([fold.log_probs, fold.log_probs[:40]])
    counts = np.concatenate([fold.counts, np.full(40, 9)])

    assert fit_temperature(more, counts) == fit_temperature(fold.log_probs, fold.counts)


@pytest.mark.parametrize("counts", [np.array([7, 8]), np.array([], dtype=int)])
def test_nothing_to_fit_on_is_a_clear_error(counts):
    with pytest.raises(DataError, match="no temperature can be fitted"):
        fit_temperature(np.log(np.full((len(counts), 3), 1 / 3)), counts)


@pytest.mark.parametrize("temperature", [0.0, -1.0, math.nan, math.inf])
def test_a_temperature_must_be_above_zero(temperature):
    with pytest.raises(ValueError, match="above 0"):
        with_temperature(np.zeros((1, 2)), temperature)


def test_a_model_always_right_goes_to_the_cold_end():
    log_probs = np.log(np.array([[0.6, 0.4], [0.3, 0.7]]))

    assert fit_temperature(log_probs, np.array([0, 1])) == pytest.approx(LOWEST, rel=0.01)
