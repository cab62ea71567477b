from math import inf, nan

from recorded import asked, scalars, told


def gradient(values: list[float]) -> list:
    return scalars("gradient/fc", values, collection="gradients", statistic="abs_mean")


def test_a_gradient_too_small_to_learn_from_fires():
    assert asked(gradient([1e-3, 9e-8, 0.0]), "VanishingGradient") == [1, 2]


def test_a_gradient_of_some_size_is_healthy():
    assert asked(gradient([1e-3, 1e-7]), "VanishingGradient") == []


def test_the_threshold_may_come_as_a_text():
    assert asked(gradient([1e-3, 2e-3]), "VanishingGradient", threshold="1.5e-3") == [0]


def test_a_gradient_that_is_no_number_is_not_called_small():
    assert asked(gradient([nan]), "VanishingGradient") == []


def test_a_tensor_with_nan_or_infinity_explodes():
    nans = scalars("fc", [0, 0.1], collection="weights", statistic="nans")
    infs = scalars("fc", [0.1, 0], collection="weights", statistic="infs")

    assert asked(nans + infs, "ExplodingTensor") == [0, 1]
    assert asked(nans + infs, "ExplodingTensor", only_nan=True) == [1]


def test_a_loss_explodes_too():
    found = told(scalars("loss", [1.0, inf, nan]), "ExplodingTensor")

    assert [one.step for one in found] == [1, 2]
    assert "100 % of loss are NaN" in found[1].message


def test_numbers_do_not_explode():
    rows = scalars("fc", [0, 0], collection="weights", statistic="nans")

    assert asked(rows + scalars("loss", [1e30, -1e30]), "ExplodingTensor") == []


def test_only_the_tensors_named_are_looked_at():
    rows = scalars("loss", [nan]) + scalars("mine", [nan], collection="scalars")

    assert {one.tensor for one in told(rows, "ExplodingTensor")} == {"loss"}
    assert {one.tensor for one in told(rows, "ExplodingTensor", tensor_regex="^m")} == {"mine"}
