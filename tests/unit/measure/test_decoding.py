import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure.decoding import DECODINGS, decode


def log_of(*rows: list[float]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows))


SKEWED = log_of([0.4, 0.2, 0.15, 0.15, 0.1])  # mode 0, median 1, mean 1.35


@pytest.mark.parametrize(("how", "said"), [("mode", 0), ("median", 1), ("mean", 1)])
def test_each_way_answers_its_own_count(how, said):
    assert decode(SKEWED, how).tolist() == [said]


def test_the_mode_of_equals_is_the_lowest():
    assert decode(log_of([0.1, 0.45, 0.45])).tolist() == [1]


def test_the_median_is_reached_at_exactly_half():
    assert decode(log_of([0.1, 0.2, 0.2, 0.5]), "median").tolist() == [2]


def test_a_mean_half_way_is_rounded_up():
    assert decode(log_of([0, 0, 0.5, 0.5, 0], [0, 0.5, 0.5, 0, 0]), "mean").tolist() == [3, 2]


def test_each_way_is_best_by_its_own_measure():
    rng = np.random.default_rng(5)
    probabilities = rng.dirichlet(np.full(8, 0.4), size=400)
    counts = np.arange(8)
    said = {how: decode(np.log(probabilities + 1e-300), how) for how in DECODINGS}

    def expected(loss, how):
        return (probabilities * loss(said[how][:, None], counts)).sum(axis=1).mean()

    losses = {
        "mode": lambda a, b: a != b,
        "median": lambda a, b: np.abs(a - b),
        "mean": lambda a, b: (a - b) ** 2,
    }
    for best, loss in losses.items():
        assert all(expected(loss, best) <= expected(loss, other) + 1e-12 for other in DECODINGS)


def test_an_unknown_way_is_an_error_with_the_nearest_name():
    with pytest.raises(DataError, match="median"):
        decode(SKEWED, "medain")
