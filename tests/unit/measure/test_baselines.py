import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure.baselines import guesses

TRAIN = {1: 50, 2: 30, 4: 20}  # majority 1, median 1.5, mean 1.9
COUNTS = np.array([1, 2, 2, 5])


def value(name: str, figure: str) -> float:
    return guesses(TRAIN)[name].statistics(COUNTS)[figure].value


def test_majority_by_hand():
    assert guesses(TRAIN)["majority"].constant == 1
    assert value("majority", "accuracy") == 0.25
    assert value("majority", "within_one") == 0.75
    assert value("majority", "rmse") == pytest.approx(((0 + 1 + 1 + 16) / 4) ** 0.5)


def test_frequency_by_hand():
    assert value("frequency", "accuracy") == pytest.approx((0.5 + 0.3 + 0.3 + 0) / 4)
    squares = [
        0.5 * (c - 1) ** 2 + 0.3 * (c - 2) ** 2 + 0.2 * (c - 4) ** 2 for c in COUNTS.tolist()
    ]
    assert value("frequency", "rmse") == pytest.approx(np.mean(squares) ** 0.5)
    logs = np.log([0.5, 0.3, 0.3, 1e-6])
    assert value("frequency", "nll") == pytest.approx(-logs.mean())


def test_frequency_is_what_drawing_scores_on_average():
    rng = np.random.default_rng(0)
    said = rng.choice([1, 2, 4], p=[0.5, 0.3, 0.2], size=(20000, 4))

    assert value("frequency", "accuracy") == pytest.approx((said == COUNTS).mean(), abs=0.005)
    assert value("frequency", "mae") == pytest.approx(np.abs(said - COUNTS).mean(), abs=0.02)


def test_mean_and_median_have_no_accuracy_unless_whole():
    assert guesses(TRAIN)["mean"].constant == pytest.approx(1.9)
    assert value("mean", "rmse") == pytest.approx(np.mean((COUNTS - 1.9) ** 2) ** 0.5)
    assert "accuracy" not in guesses(TRAIN)["mean"].statistics(COUNTS)
    assert "accuracy" not in guesses(TRAIN)["median"].statistics(COUNTS)  # 1.5
    assert "accuracy" in guesses({2: 3})["median"].statistics(COUNTS)


def test_scikit_learn_agrees():
    dummy = pytest.importorskip("sklearn.dummy")
    theirs = pytest.importorskip("sklearn.metrics")
    seen = np.repeat(list(TRAIN), list(TRAIN.values()))
    blind, photos = np.zeros((len(seen), 1)), np.zeros((3, 1))
    known = COUNTS[:3]  # log_loss knows no count that training lacked

    def said(model):
        return model.fit(blind, seen).predict(photos)

    majority = said(dummy.DummyClassifier(strategy="most_frequent"))
    mean = said(dummy.DummyRegressor(strategy="mean"))
    median = said(dummy.DummyRegressor(strategy="median"))
    prior = dummy.DummyClassifier(strategy="prior").fit(blind, seen)
    ours = {name: guess.statistics(known) for name, guess in guesses(TRAIN).items()}

    assert ours["majority"]["accuracy"].value == theirs.accuracy_score(known, majority)
    assert ours["mean"]["rmse"].value == pytest.approx(theirs.root_mean_squared_error(known, mean))
    assert ours["median"]["mae"].value == pytest.approx(theirs.mean_absolute_error(known, median))
    chances = prior.predict_proba(photos)
    assert ours["frequency"]["nll"].value == pytest.approx(
        theirs.log_loss(known, chances, labels=prior.classes_)
    )


def test_of_equally_common_counts_the_smaller_is_the_majority():
    assert guesses({3: 7, 2: 7})["majority"].constant == 2


def test_an_empty_train_fold_is_a_clear_error():
    with pytest.raises(DataError, match="train fold has no photos"):
        guesses({3: 0})
