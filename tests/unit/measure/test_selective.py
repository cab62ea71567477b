import numpy as np
import pytest

from stocktake.measure.selective import SHARES, curve


def curve_of(fold, said=None, **options):
    answers = fold.log_probs.argmax(axis=1) if said is None else said
    settings = {"resamples": 200, "seed": 0, **options}
    return curve(fold.log_probs, answers, fold.counts, fold.groups, **settings)


def test_shares_rise_to_all_and_confidence_falls(fold_of):
    found = curve_of(fold_of("test", 400, seed=1))

    assert [row.share for row in found] == list(SHARES)
    assert [row.accuracy.n for row in found] == [40, 80, 120, 160, 200, 240, 280, 320, 360, 400]
    confidences = [row.least_confidence for row in found]
    assert confidences == sorted(confidences, reverse=True)


def test_all_of_them_are_as_right_as_the_whole_fold(fold_of):
    fold = fold_of("test", 400, seed=1)
    last = curve_of(fold)[-1]

    assert last.accuracy.value == (fold.log_probs.argmax(axis=1) == fold.counts).mean()
    assert last.accuracy.low < last.accuracy.value < last.accuracy.high
    assert last.within_one.value >= last.accuracy.value


def test_the_surest_are_right_more_often(fold_of):
    found = curve_of(fold_of("test", 2000, seed=2))

    assert found[0].accuracy.value > found[-1].accuracy.value + 0.1


def test_the_surest_ones_are_those_counted(fold_of):
    """Right where sure and wrong where not: accuracy is 1 until the sure ones are used up."""
    fold = fold_of("test", 100, seed=3)
    sure = fold.log_probs.max(axis=1)
    order = np.argsort(-sure, kind="stable")
    said = fold.counts.copy()
    said[order[50:]] += 1

    found = {row.share: row.accuracy.value for row in curve_of(fold, said)}
    assert found[0.5] == 1.0 and found[1.0] == pytest.approx(0.5)


def test_shares_without_a_photo_are_left_out(fold_of):
    assert [row.share for row in curve_of(fold_of("test", 3, seed=4))][0] >= 0.2
