"""What gradients tell: too small to learn from, or no numbers any more."""

import math
from collections.abc import Iterator

from stocktake.debugger.records import View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import Words, found, number, tensors

COULD_EXPLODE = ("losses", "gradients", "weights", "biases", "activations")


@rule(
    "VanishingGradient",
    reads=("gradients",),
    statistics=("abs_mean",),
    advice="Use ReLU, batch norm, skip connections or another initialisation; or fewer layers.",
)
def vanishing_gradient(view: View, *, threshold: float = 1e-7) -> Iterator[Finding]:
    """A gradient is too small to change its weights.

    Fires for each gradient whose mean absolute value is below `threshold`. A bias right before a
    batch norm fires too: the norm takes it off again, so it has no gradient and can be left out.
    """
    for name in view.names("gradients"):
        mean = view.value(name, "abs_mean")
        if mean is not None and mean < threshold:
            yield found(
                view,
                name,
                f"the mean absolute gradient of {name} is {number(mean)}; "
                f"at least {number(threshold)} was expected",
                abs_mean=mean,
            )


@rule(
    "ExplodingTensor",
    reads=COULD_EXPLODE,
    statistics=("value", "nans", "infs"),
    modes=("train", "eval"),
    advice="Lower the learning rate, clip gradients, and look at the step before this one.",
)
def exploding_tensor(
    view: View,
    *,
    collection_names: Words = "",
    tensor_regex: Words = "",
    only_nan: bool = False,
) -> Iterator[Finding]:
    """A tensor holds values that are infinite or no numbers.

    Looks at losses, gradients, weights, biases and activations if no tensors are named. With
    `only_nan`, a parameter of 2019, infinite values are allowed.
    """
    for name in tensors(view, collection_names, tensor_regex, otherwise=COULD_EXPLODE):
        nans, infs = view.value(name, "nans") or 0.0, view.value(name, "infs") or 0.0
        scalar = view.row(name)
        if scalar is not None and not scalar.values:
            nans += math.isnan(scalar.value)
            infs += math.isinf(scalar.value)
        if nans or (infs and not only_nan):
            yield found(
                view,
                name,
                f"{number(100 * nans)} % of {name} are NaN and {number(100 * infs)} % are "
                "infinite; only numbers were expected",
                nans=nans,
                infs=infs,
            )
