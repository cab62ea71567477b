import numpy as np
import pytest
from recorded import asked, told, whole

from stocktake.debugger.errors import RuleError


def channels(means: list[float], steps: int = 2, batch: int = 250) -> list:
    return whole(
        "input",
        dict.fromkeys(range(steps), means),
        collection="inputs",
        statistic="channel_means",
        shape=(batch, len(means), 8, 8),
    )


def test_images_that_are_not_normalised_fire_once_there_are_enough():
    assert asked(channels([0.0, 0.5, 0.0], steps=3), "CheckInputImages") == [1, 2]
    assert asked(channels([0.0, 0.5, 0.0]), "CheckInputImages", threshold_samples=250) == [0, 1]


def test_normalised_images_are_healthy():
    assert asked(channels([0.1, -0.2, 0.0], steps=3), "CheckInputImages") == []


def test_the_channel_is_named():
    found = told(channels([0.0, 0.0, -0.5]), "CheckInputImages")

    assert [one.evidence for one in found] == [{"channel": 2.0, "mean": -0.5}]


def test_whole_images_may_have_their_channels_elsewhere():
    images = np.zeros((2, 4, 4, 3))
    images[..., 1] = 0.9
    rows = whole("x", {0: images}, collection="inputs")

    assert asked(rows, "CheckInputImages", threshold_samples=2, channel=3) == [0]
    assert asked(rows, "CheckInputImages", threshold_samples=2, channel=3, threshold_mean=1) == []


def test_inputs_that_are_no_images_are_passed_over_unless_named():
    rows = whole("x", {0: np.ones((500, 7))}, collection="inputs")

    assert asked(rows, "CheckInputImages") == []
    assert asked(rows, "CheckInputImages", regex="x") == [0]


def test_sequences_of_padding_fire():
    tokens = np.array([[5, 6, 0, 0, 0], [7, 8, 9, 0, 0]])
    rows = whole("tokens", {0: tokens, 1: tokens + 1}, collection="inputs")

    assert asked(rows, "NLPSequenceRatio", token_thresholds_percent="49") == [0]
    assert asked(rows, "NLPSequenceRatio") == []
    assert asked(
        rows, "NLPSequenceRatio", token_values="0,1", token_thresholds_percent="60,40"
    ) == [1]


def test_each_token_needs_its_threshold():
    with pytest.raises(RuleError, match="give one threshold for each token"):
        asked(whole("t", {0: [1]}, collection="inputs"), "NLPSequenceRatio", token_values="0,1")
