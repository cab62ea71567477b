import numpy as np
import pytest
from recorded import asked, scalars, told, whole


def relu(values: object, statistic: str = "units_positive", name: str = "act") -> list:
    return whole(name, {0: values}, collection="activations", statistic=statistic, kind="ReLU")


def test_a_layer_with_most_units_silent_is_dead():
    assert asked(relu([0.0, 0.005, 0.5]), "DeadRelu") == [0]


def test_a_layer_with_half_its_units_at_work_lives():
    assert asked(relu([0.0, 0.005, 0.5, 0.01]), "DeadRelu") == []


def test_dead_units_are_found_in_whole_tensors():
    out = np.zeros((10, 3))
    out[0, 0] = 1.0

    assert asked(relu(out, "tensor"), "DeadRelu") == [0]
    assert asked(relu(out, "tensor"), "DeadRelu", threshold_layer=70) == []


@pytest.mark.parametrize(("share", "steps"), [(0.0049, [0]), (0.0051, [])])
def test_the_share_of_the_whole_layer_is_proof_only_below_half_the_threshold(share, steps):
    rows = scalars("act", [share], collection="activations", statistic="positive", kind="ReLU")

    assert asked(rows, "DeadRelu") == steps


def test_other_modules_die_only_if_asked_by_name():
    rows = whole(
        "gelu_output", {0: [0.0]}, collection="activations", statistic="units_positive", kind="GELU"
    )

    assert asked(rows, "DeadRelu") == []
    assert asked(rows, "DeadRelu", tensor_regex=".*gelu_output") == [0]


def test_the_manuals_expression_is_a_profile():
    rows = relu([0.0], name="relu_output")

    assert asked(rows, "DeadRelu", "manual") == [0]
    assert asked(relu([0.0], name="relu0_output"), "DeadRelu", "manual") == []


def inputs(kind: str, values: object, statistic: str = "tensor") -> list:
    return whole("act", {0: values}, collection="activation_inputs", statistic=statistic, kind=kind)


@pytest.mark.parametrize(
    ("kind", "ill", "healthy"),
    [("Tanh", 9.6, 9.4), ("Sigmoid", 17.1, 16.9), ("Sigmoid", -23.1, -22)],
)
def test_units_beyond_the_bounds_of_their_kind_are_saturated(kind, ill, healthy):
    assert asked(inputs(kind, np.full((8, 3), ill)), "SaturatedActivation") == [0]
    assert asked(inputs(kind, np.full((8, 3), healthy)), "SaturatedActivation") == []


def test_saturation_is_read_from_units_at_the_default_thresholds_only():
    units = inputs("Tanh", [0.0, 0.0, 1.0], "units_inside")

    assert asked(units, "SaturatedActivation") == [0]
    assert asked(units, "SaturatedActivation", threshold_tanh_max=5) == []


def test_a_layer_all_beyond_other_thresholds_is_known_by_its_extremes():
    more = {"collection": "activation_inputs", "kind": "Tanh"}
    rows = scalars("act", [6.0], statistic="min", **more) + scalars(
        "act", [7.0], statistic="max", **more
    )

    assert asked(rows, "SaturatedActivation") == []
    assert asked(rows, "SaturatedActivation", threshold_tanh_max="5") == [0]


def spread(*deviations: float) -> list:
    more = {"collection": "activation_inputs", "statistic": "std", "kind": "ReLU"}
    return [
        row for place, std in enumerate(deviations) for row in scalars(f"act{place}", [std], **more)
    ]


def test_layers_that_vary_very_differently_began_badly():
    found = told(spread(1.0, 4.0), "PoorWeightInitialization")

    assert [one.tensor for one in found] == ["act1"]
    assert found[0].evidence == {"variance_ratio": 16.0}


def test_layers_that_vary_alike_began_well():
    assert asked(spread(1.0, 3.0), "PoorWeightInitialization") == []


def test_a_layer_that_does_not_vary_began_badly():
    assert asked(spread(1.0, 0.0), "PoorWeightInitialization") == [0]


def test_gradients_too_close_together_show_a_bad_begin():
    more = {"collection": "gradients"}
    low = scalars("gradient/fc", [-1e-4, -1e-2], statistic="p5", **more)
    high = scalars("gradient/fc", [1e-4, 1e-2], statistic="p95", **more)

    assert asked(low + high, "PoorWeightInitialization") == [0]


def test_a_loss_that_does_not_begin_to_fall_shows_a_bad_begin():
    flat = scalars("loss", [1.0] * 12)

    assert asked(flat, "PoorWeightInitialization") == [5, 6, 7, 8, 9]
    assert asked(flat, "PoorWeightInitialization", steps=6) == [5]
    assert asked(flat, "PoorWeightInitialization", "batches") == []
    falling = scalars("loss", [1.0 - 0.01 * n for n in range(12)])
    assert asked(falling, "PoorWeightInitialization") == []
