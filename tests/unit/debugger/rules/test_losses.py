import pytest
from recorded import SECONDS, asked, scalars, told

from stocktake.debugger.errors import RuleError

OF_2019 = {0: 0.3, 4: 0.33, 8: 0.31, 12: 0.30, 16: 0.28}
"""Losses of a test that SageMaker published in 2019, and what its rule said of them."""


def test_a_loss_that_did_not_fall_fires_as_in_2019():
    assert asked(scalars("loss", OF_2019), "LossNotDecreasing", "2019") == [12]


def test_a_share_of_20_percent_fires_on_a_rise_as_in_2019():
    losses = scalars("loss", OF_2019 | {20: 0.2, 24: 0.42})

    assert asked(losses, "LossNotDecreasing", "2019", diff_percent=20) == [24]


def test_by_the_manual_a_drop_that_is_too_small_fires():
    losses = scalars("loss", OF_2019 | {20: 0.2, 24: 0.42})

    assert asked(losses, "LossNotDecreasing") == [12, 24]
    assert asked(losses, "LossNotDecreasing", diff_percent=20) == [12, 24]


def test_a_loss_is_compared_once_in_so_many_steps():
    """The manual's example: saved every 3 steps, 21 is compared with 9, the next check is at 33."""
    losses = scalars("loss", dict.fromkeys(range(9, 40, 3), 1.0))

    assert asked(losses, "LossNotDecreasing") == [21, 33]
    assert {found.evidence["step_before"] for found in told(losses, "LossNotDecreasing")} == {9, 21}


def test_a_falling_loss_is_healthy():
    assert asked(scalars("loss", [0.99**n for n in range(60)]), "LossNotDecreasing") == []


def test_a_rise_is_told_at_any_step():
    losses = [0.99**n for n in range(30)]
    losses[17] = 1.1

    assert asked(scalars("loss", losses), "LossNotDecreasing") == [17]


def test_a_loss_that_is_no_number_has_not_fallen():
    losses = [0.99**n for n in range(20)] + [float("nan")]

    assert asked(scalars("loss", losses), "LossNotDecreasing") == [20]


def test_losses_of_eval_are_asked_only_if_train_has_none_or_by_mode():
    flat = scalars("loss", [1.0] * 12, mode="eval")
    falling = scalars("loss", [0.9**n for n in range(12)])

    assert asked(flat, "LossNotDecreasing") == [10]
    assert asked(flat + falling, "LossNotDecreasing") == []
    assert asked(flat + falling, "LossNotDecreasing", mode="EVAL") == [10]
    assert asked(flat + falling, "LossNotDecreasing", "manual") == [10]
    with pytest.raises(RuleError, match="mode must be one of train, eval, predict or global"):
        asked(flat, "LossNotDecreasing", mode="test")


def test_other_tensors_can_be_losses():
    flat = scalars("score", [1.0] * 12, collection="scalars")

    assert asked(flat, "LossNotDecreasing") == []
    assert asked(flat, "LossNotDecreasing", collection_names="scalars") == [10]
    by_name = {"tensor_regex": "^sco", "use_losses_collection": "false"}
    assert asked(flat, "LossNotDecreasing", **by_name) == [10]
    assert asked(scalars("loss", [1.0] * 12), "LossNotDecreasing", **by_name) == []


def test_noise_of_batches_can_be_smoothed():
    noisy = scalars("loss", [0.99**n + (0.3 if n % 7 == 3 else 0) for n in range(101)])

    assert asked(noisy, "LossNotDecreasing")
    assert asked(noisy, "LossNotDecreasing", "batches") == []


def passes(held: list[list[float]], train: float = 1.0, steps: int = 4) -> list:
    """Train `steps` steps before each pass over the validation set, in one clock."""
    rows, done, now = [], 0, SECONDS
    for number, losses in enumerate(held):
        start = number * steps
        of_train = dict.fromkeys(range(start, start + steps), train)
        rows += scalars("loss", of_train, start=now - start)
        of_pass = {done + place: loss for place, loss in enumerate(losses)}
        rows += scalars("loss", of_pass, mode="eval", start=now + steps - done)
        done += len(losses)
        now += steps + len(losses)
    return rows


def test_a_validation_loss_well_above_the_training_loss_fires():
    assert asked(passes([[1.0], [1.05], [1.2]]), "Overfit") == [2]


def test_a_validation_loss_beside_the_training_loss_is_healthy():
    assert asked(passes([[1.0], [1.09], [1.0]]), "Overfit") == []


def test_all_losses_of_a_pass_are_averaged():
    assert asked(passes([[1.0, 1.0], [1.4, 0.7]]), "Overfit") == []
    assert asked(passes([[1.0, 1.0], [1.4, 0.9]]), "Overfit") == [3]


def test_the_first_pass_is_judged_when_training_goes_on():
    found = told(passes([[1.5, 1.5], [1.0, 1.0]]), "Overfit")

    assert [(one.mode, one.step) for one in found] == [("train", 4)]


def test_overfit_waits_for_its_patience_and_its_start():
    rows = passes([[1.5], [1.5], [1.5]])

    assert asked(rows, "Overfit", patience=3) == [2]
    assert asked(rows, "Overfit", patience=4) == []
    assert [one.mode for one in told(rows, "Overfit", start_step=9)] == ["eval"]


def test_what_is_long_past_does_not_lower_the_bar():
    """Train losses fall from 10 to 1: over all of them their mean would hide the 1.5."""
    early = scalars("loss", [10.0] * 50, start=SECONDS - 50)
    late = [row for row in passes([[1.0], [1.5]]) if row.mode == "eval"] + scalars(
        "loss", {50 + n: 1.0 for n in range(9)}, start=SECONDS - 50
    )

    assert "eval" in {one.mode for one in told(early + late, "Overfit")}


def test_a_loss_that_stopped_getting_better_was_trained_too_long():
    losses = [1.0, 0.9, 0.8, 0.795, 0.8, 0.81, 0.8, 0.79, 0.5]

    assert asked(scalars("loss", losses), "Overtraining") == [7]


def test_a_loss_that_keeps_getting_better_is_healthy():
    assert asked(scalars("loss", [1 - 0.02 * n for n in range(30)]), "Overtraining") == []


def test_validation_has_more_patience():
    held = scalars("loss", [1.0] * 12, mode="eval")

    assert asked(held, "Overtraining") == [10, 11]
    assert asked(held, "Overtraining", patience_validation=11) == [11]


def test_noise_of_batches_can_be_averaged_before_patience_counts():
    noisy = [1 - 0.002 * n + (0.3 if n % 9 == 3 else -0.1 * (n % 2)) for n in range(200)]

    assert asked(scalars("loss", noisy), "Overtraining")
    assert asked(scalars("loss", noisy), "Overtraining", "batches") == []
    assert asked(scalars("loss", [1.0] * 140), "Overtraining", "batches") == [119, 139]
