import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure import metrics
from stocktake.measure.paired import SWAPS, difference

RNG = np.random.default_rng(0)
N = 400
COUNTS = RNG.integers(0, 6, N)
GROUPS = np.arange(N) // 2


def says(share: float, seed: int) -> np.ndarray:
    """Answers of which about that share is right."""
    rng = np.random.default_rng(seed)
    return np.where(rng.random(N) < share, COUNTS, (COUNTS + 1) % 6)


def compared(first, second, groups=GROUPS, figure=metrics.correct, **options):
    settings = {"resamples": 1000, "seed": 0, **options}
    return difference(figure(first, COUNTS), figure(second, COUNTS), groups, **settings)


def test_the_same_answers_do_not_differ():
    found = compared(says(0.5, 1), says(0.5, 1))

    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)
    assert (found.n, found.groups) == (N, N // 2)


def test_a_clear_difference_is_told_with_its_sign():
    found = compared(says(0.4, 1), says(0.7, 2))

    assert 0.2 < found.low < found.value < found.high < 0.4
    assert found.p == 1 / (SWAPS + 1)
    assert compared(says(0.7, 2), says(0.4, 1)).value == -found.value


def test_the_p_value_of_a_few_groups_is_the_exact_one():
    first = np.array([0, 0, 0, 0])
    counts, groups = np.array([1, 1, 1, 1]), np.arange(4)
    found = difference(
        metrics.correct(first, counts),
        metrics.correct(counts, counts),
        groups,
        resamples=100,
        seed=0,
    )

    assert found.value == 1
    assert found.p == pytest.approx(2 / 16, abs=0.01), "all four one way or all four the other"


def test_equally_good_models_seldom_have_a_small_p_value():
    small = [compared(says(0.5, 2 * i), says(0.5, 2 * i + 1), resamples=50).p for i in range(60)]

    assert np.mean(np.array(small) < 0.1) < 0.25
    assert np.mean(np.array(small) < 0.5) > 0.25


def test_siblings_count_as_one():
    """Ten photos of a bin that one model gets right are one piece of evidence, not ten."""
    groups = np.arange(N) // 40
    first = COUNTS.copy()
    first[groups < 3] += 1
    second = COUNTS.copy()

    assert compared(first, second, groups).p == pytest.approx(2 / 8, abs=0.02)
    assert compared(first, second, np.arange(N)).p < 0.001


def test_figures_that_are_no_means_are_compared_too():
    found = compared(says(0.4, 1), says(0.7, 2), figure=metrics.squared)
    rmse = [metrics.rmse(says(share, seed), COUNTS) for share, seed in ((0.4, 1), (0.7, 2))]

    assert found.value == pytest.approx(rmse[1] - rmse[0])
    assert found.high < 0 and found.p < 0.01


def test_figures_of_other_photos_are_refused():
    first, second = metrics.correct(COUNTS, COUNTS), metrics.correct(COUNTS[:9], COUNTS[:9])

    with pytest.raises(DataError, match="400 and 9 photos"):
        difference(first, second, GROUPS, resamples=10, seed=0)
