"""What activations tell: dead ReLUs, saturated units, weights that began badly."""

import math
from collections.abc import Iterator, Mapping

import numpy as np

from stocktake.debugger.records import View
from stocktake.debugger.rules import SATURATION, Finding, rule
from stocktake.debugger.rules.looking import (
    Floats,
    Words,
    activations,
    found,
    number,
    per_unit,
    tensor,
)


@rule(
    "DeadRelu",
    reads=("activations",),
    statistics=("units_positive", "positive"),
    advice="Lower the learning rate, use leaky ReLUs, or begin with smaller or positive biases.",
    profiles={"manual": {"tensor_regex": ".*relu_output"}},
)
def dead_relu(
    view: View,
    *,
    tensor_regex: Words = "",
    threshold_inactivity: float = 1.0,
    threshold_layer: float = 50.0,
) -> Iterator[Finding]:
    """Most ReLUs of a layer never fire.

    A unit is dead if fewer than `threshold_inactivity` % of its outputs in a step, over photos and
    places, are above 0; a layer if more than `threshold_layer` % of its units are. Modules of type
    ReLU are looked at, whatever they are called, unless a regular expression is given.

    Where only the layer's share above 0 was recorded, it fires if that share alone proves it: with
    half of the units alive at 1 % or more, 0.5 % of the layer would be above 0.
    """
    for name, _ in activations(view, "activations", tensor_regex, ("ReLU",)):
        row, values = view.row(name, "units_positive"), tensor(view, name)
        share = view.value(name, "positive")
        if row is not None or values is not None:
            active = np.asarray(row.values) if row else per_unit(np.asarray(values) > 0)
            dead = 100 * float(np.mean(100 * active < threshold_inactivity))
        elif share is not None:
            dead = 100 * max(1 - 100 * share / threshold_inactivity, 0.0)
        else:
            continue
        if dead > threshold_layer:
            yield found(
                view,
                name,
                f"{number(dead)} % of the units of {name} are dead; at most "
                f"{number(threshold_layer)} % were expected",
                dead_percent=dead,
            )


@rule(
    "SaturatedActivation",
    reads=("activation_inputs",),
    statistics=("units_inside", "min", "max"),
    advice="Begin with smaller weights, normalise what comes in, or use ReLU.",
    profiles={"manual": {"tensor_regex": ".*tanh_input|.*sigmoid_input"}},
)
def saturated_activation(
    view: View,
    *,
    tensor_regex: Words = "",
    threshold_tanh_min: float = SATURATION["Tanh"][0],
    threshold_tanh_max: float = SATURATION["Tanh"][1],
    threshold_sigmoid_min: float = SATURATION["Sigmoid"][0],
    threshold_sigmoid_max: float = SATURATION["Sigmoid"][1],
    threshold_inactivity: float = 1.0,
    threshold_layer: float = 50.0,
) -> Iterator[Finding]:
    """Most sigmoids or tanhs of a layer are where they no longer move.

    A unit is saturated if fewer than `threshold_inactivity` % of its inputs in a step lie inside
    the thresholds; a layer if more than `threshold_layer` % of its units are. Modules of type Tanh
    and Sigmoid are looked at, unless a regular expression is given. Other thresholds than the
    defaults need the tensors themselves, or else fire only if the whole layer is outside.
    """
    bounds = {
        "Tanh": (threshold_tanh_min, threshold_tanh_max),
        "Sigmoid": (threshold_sigmoid_min, threshold_sigmoid_max),
    }
    for name, kind in activations(view, "activation_inputs", tensor_regex, bounds):
        inside = _inside(view, name, kind, bounds)
        if inside is None:
            continue
        saturated = 100 * float(np.mean(100 * inside < threshold_inactivity))
        if saturated > threshold_layer:
            low, high = bounds[kind]
            yield found(
                view,
                name,
                f"{number(saturated)} % of the units of {name} get inputs outside {number(low)} "
                f"to {number(high)}; at most {number(threshold_layer)} % were expected",
                saturated_percent=saturated,
            )


def _inside(
    view: View, name: str, kind: str, bounds: Mapping[str, tuple[float, float]]
) -> Floats | None:
    """Share of each unit's inputs within its kind's bounds, (U,); None if it is not known."""
    if kind not in bounds:
        return None
    low, high = bounds[kind]
    row, values = view.row(name, "units_inside"), tensor(view, name)
    if values is not None:
        return per_unit((values >= low) & (values <= high))
    if row is not None and bounds[kind] == SATURATION[kind]:
        return np.asarray(row.values)
    least, most = view.value(name, "min"), view.value(name, "max")
    if least is None or most is None:
        return None
    return np.array([0.0 if most < low or least > high else 1.0])


@rule(
    "PoorWeightInitialization",
    reads=("activation_inputs", "gradients", "losses"),
    statistics=("std", "p5", "p95", "value"),
    advice="Begin with weights of He or Glorot, suited to the activation, and look at each layer.",
    profiles={
        "manual": {"activation_inputs_regex": ".*relu_input"},
        "batches": {"patience": 10},
    },
)
def poor_weight_initialization(
    view: View,
    *,
    activation_inputs_regex: Words = "",
    threshold: float = 10.0,
    distribution_range: float = 0.001,
    patience: int = 5,
    steps: int = 10,
) -> Iterator[Finding]:
    """The first steps show that the weights began badly.

    Within the first `steps` steps it fires if the largest variance of a layer's inputs to ReLU is
    over `threshold` times the smallest; or if p95 - p5 of a gradient is under `distribution_range`;
    or if none of the last `patience` losses is below the one before them, which with a
    `patience` of `steps` or more is not looked at. The variance is that of inputs to activations,
    which the manual's text has, and not of weights, which its table has: weights of layers of
    different width should differ.
    """
    known = view.record.steps(view.mode, view.worker)
    if len(known) > steps and known[steps] <= view.step:
        return
    of_layers = activations(view, "activation_inputs", activation_inputs_regex, ("ReLU",))
    spread = {name: std**2 for name, _ in of_layers if (std := view.value(name, "std")) is not None}
    if len(spread) > 1:
        widest, least = max(spread, key=spread.__getitem__), min(spread, key=spread.__getitem__)
        ratio = spread[widest] / (spread[least] or math.ulp(0.0))
        if ratio > threshold:
            yield found(
                view,
                widest,
                f"inputs of {widest} vary {number(ratio)} times as much as those of {least}; "
                f"at most {number(threshold)} times was expected",
                variance_ratio=ratio,
            )
    for name in view.names("gradients"):
        low, high = view.value(name, "p5"), view.value(name, "p95")
        if low is not None and high is not None and high - low < distribution_range:
            yield found(
                view,
                name,
                f"nine tenths of {name} lie within {number(high - low)}; "
                f"at least {number(distribution_range)} was expected",
                distribution_range=high - low,
            )
    for name in view.names("losses"):
        losses = [row.value for row in view.rows(name)[-patience - 1 :]]
        if len(losses) > patience and not min(losses[1:]) < losses[0]:
            yield found(
                view,
                name,
                f"{name} has not fallen in {patience} steps: it was {number(losses[0])} and "
                f"is {number(losses[-1])}",
                loss=losses[-1],
                loss_before=losses[0],
            )
