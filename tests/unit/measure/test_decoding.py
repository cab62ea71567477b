import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import metrics
from stocktake.measure.decoding import DECODINGS, FIGURES, OWN, best_for, decode


def log_of(*rows: list[float]) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.log(np.array(rows))


SKEWED = log_of([0.4, 0.2, 0.15, 0.15, 0.1])  # mode 0, median 1, mean 1.35


@pytest.mark.parametrize(("how", "said"), [("mode", 0), ("median", 1), ("mean", 1), ("window", 1)])
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
        "window": lambda a, b: np.abs(a - b) > 1,
    }
    for best, loss in losses.items():
        assert all(expected(loss, best) <= expected(loss, other) + 1e-6 for other in DECODINGS)


def test_an_unknown_way_is_an_error_with_the_nearest_name():
    with pytest.raises(DataError, match="median"):
        decode(SKEWED, "medain")


def test_a_window_is_centred_on_what_is_likely():
    # counts 2, 3 and 4 hold as much with their neighbours
    assert decode(log_of([0.001, 0.001, 0.001, 0.995, 0.001, 0.001]), "window").tolist() == [3]
    assert decode(log_of([0.36, 0.02, 0.2, 0.2, 0.22]), "window").tolist() == [3]


@pytest.mark.parametrize("how", DECODINGS)
def test_impossible_counts_are_never_answered(how):
    rows = log_of([0, 0.5, 0, 0.5, 0], [0, 0.55, 0, 0.45, 0], [0, 0, 0, 0, 1])

    assert np.isfinite(rows[np.arange(3), decode(rows, how)]).all()


def test_a_mean_beside_an_impossible_count_goes_to_the_nearest():
    assert decode(log_of([0, 0.7, 0, 0.3, 0]), "mean").tolist() == [1]


@pytest.mark.parametrize("metric", FIGURES)
def test_the_best_way_comes_first_with_its_figure(fold_of, metric):
    fold = fold_of("val", 500, seed=3)
    found = best_for(metric, fold.log_probs, fold.counts)
    figures = {
        how: getattr(metrics, metric)(decode(fold.log_probs, how), fold.counts) for how in DECODINGS
    }
    best = max if metric in ("accuracy", "within_one") else min

    assert found == figures and list(found.values())[0] == best(figures.values())
    assert list(found.values()) in (sorted(figures.values()), sorted(figures.values())[::-1])


def test_of_ways_as_good_the_mode_is_taken():
    assert next(iter(best_for("mae", log_of([0, 1, 0]), np.array([1])))) == "mode"


def test_an_unknown_metric_is_an_error_with_the_nearest_name():
    with pytest.raises(DataError, match="rmse"):
        best_for("rsme", SKEWED, np.array([1]))


def test_every_way_has_something_it_is_for():
    assert tuple(OWN) == DECODINGS and {m for own in OWN.values() for m in own} == set(FIGURES)
