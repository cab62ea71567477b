import numpy as np
import pytest

from stocktake.errors import DataError
from stocktake.measure.prior import corrected, limited, log_ratio, shares_of

TRAIN = {1: 60, 2: 30, 3: 10, 9: 4}  # 9 is above what the model can say


def test_shares_are_read_and_sum_to_one():
    assert shares_of("1=0.2, 2=0.3,3=.5") == {1: 0.2, 2: 0.3, 3: 0.5}
    assert sum(shares_of("1=0.33,2=0.33,3=0.33").values()) == pytest.approx(1)


@pytest.mark.parametrize("text", ["1", "1=a", "1=0.5,1=0.5", "1=-0.5,2=1.5", "even", "1=0.5,"])
def test_a_text_of_another_form_says_what_is_expected(text):
    with pytest.raises(ValueError, match="mix must be"):
        shares_of(text)


def test_shares_that_miss_one_are_told():
    with pytest.raises(ValueError, match="sum to 0.7"):
        shares_of("1=0.2,2=0.5")


def test_by_hand_a_row_moves_by_the_ratio_of_shares():
    ratio = log_ratio("1=0.1,2=0.9", TRAIN, max_count=3)
    row = np.exp(corrected(np.log([[0.1, 0.4, 0.3, 0.2]]), ratio))[0]

    one, two = 0.4 * 0.1 / 0.6, 0.3 * 0.9 / 0.3
    assert row == pytest.approx([0, one / (one + two), two / (one + two), 0])


def test_no_mix_and_that_of_training_change_nothing():
    log_probs = np.log([[0.1, 0.4, 0.3, 0.2]])

    assert log_ratio("", TRAIN, max_count=3) is None is log_ratio("train", TRAIN, max_count=3)
    assert corrected(log_probs, None) is log_probs
    same = log_ratio("1=0.6,2=0.3,3=0.1", TRAIN, max_count=3)
    assert same[1:] == pytest.approx(0)


def test_uniform_is_of_the_counts_that_were_trained_on():
    ratio = log_ratio("uniform", TRAIN, max_count=3)

    assert ratio[0] == -np.inf
    assert ratio[1:] == pytest.approx(np.log([1 / 3 / 0.6, 1 / 3 / 0.3, 1 / 3 / 0.1]))


@pytest.mark.parametrize("mix", ["0=0.5,1=0.5", "1=0.5,9=0.5"])
def test_counts_that_were_not_trained_on_are_refused(mix):
    with pytest.raises(DataError, match=r"not trained on \(trained and judged: 1, 2, 3\)"):
        log_ratio(mix, TRAIN, max_count=3)


def test_a_share_of_zero_needs_no_training():
    assert log_ratio("0=0,1=1", TRAIN, max_count=3)[0] == -np.inf


def test_a_known_shift_is_undone():
    """Scores that are exact under one mix, corrected to another, equal those exact under it."""
    rng = np.random.default_rng(2)
    likelihood = rng.dirichlet(np.ones(4), size=50)
    likelihood[:, 0] = 0
    old, new = np.array([0, 0.6, 0.3, 0.1]), np.array([0, 0.2, 0.3, 0.5])

    def posterior(prior):
        joint = likelihood * prior
        with np.errstate(divide="ignore"):
            return np.log(joint / joint.sum(axis=1, keepdims=True))

    ratio = log_ratio("1=0.2,2=0.3,3=0.5", TRAIN, max_count=3)
    found = corrected(posterior(old), ratio)

    assert np.exp(found) == pytest.approx(np.exp(posterior(new)))


def test_limited_answers_are_conditioned_and_keep_their_type():
    found = limited(np.log(np.array([[0.1, 0.4, 0.3, 0.2]], dtype=np.float32)), [1, 2, 7])

    assert found.dtype == np.float32
    assert np.exp(found[0]) == pytest.approx([0, 4 / 7, 3 / 7, 0])


def test_limits_above_all_that_can_be_said_are_told():
    with pytest.raises(DataError, match="says counts 0 to 3"):
        limited(np.zeros((1, 4)), [4, 5])
