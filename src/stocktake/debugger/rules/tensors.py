"""What any tensor can tell: all zeros, never changing, changing too much, varying too much."""

from collections.abc import Iterator

import numpy as np

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import Row, View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import Words, array, found, number, tensor, tensors

SAME = ("mean", "std", "abs_mean", "min", "max")
"""Statistics that all stay if a tensor stays."""


@rule(
    "AllZero",
    reads=("weights", "gradients"),
    statistics=("zeros",),
    advice="Begin with other weights, and see that the loss depends on this tensor.",
)
def all_zero(
    view: View,
    *,
    collection_names: Words = "",
    tensor_regex: Words = "",
    threshold: float = 100.0,
) -> Iterator[Finding]:
    """A tensor is nothing but zeros.

    Fires if at least `threshold` % of the elements are 0. Looks at weights and gradients if no
    tensors are named.
    """
    for name in tensors(view, collection_names, tensor_regex, otherwise=("weights", "gradients")):
        zeros = view.value(name, "zeros")
        if zeros is not None and 100 * zeros >= threshold:
            yield found(
                view,
                name,
                f"{number(100 * zeros)} % of {name} are 0; fewer than {number(threshold)} % were "
                "expected",
                zeros_percent=100 * zeros,
            )


@rule(
    "TensorVariance",
    reads=("weights",),
    statistics=("std",),
    modes=("train", "eval"),
    advice="Look at the weights before this tensor: their scale, and the learning rate.",
)
def tensor_variance(
    view: View,
    *,
    collection_names: Words = "",
    tensor_regex: Words = "",
    max_threshold: float | None = None,
    min_threshold: float | None = None,
) -> Iterator[Finding]:
    """A tensor's elements vary too much, or too little.

    Looks at weights if no tensors are named.

    Raises:
        RuleError: if there is neither threshold.
    """
    if max_threshold is None and min_threshold is None:
        raise RuleError("TensorVariance needs max_threshold or min_threshold; give one")
    most = np.inf if max_threshold is None else max_threshold
    least = -np.inf if min_threshold is None else min_threshold
    for name in tensors(view, collection_names, tensor_regex, otherwise=("weights",)):
        std = view.value(name, "std")
        if std is not None and not least <= std**2 <= most:
            yield found(
                view,
                name,
                f"the variance of {name} is {number(std**2)}; {number(least)} to {number(most)} "
                "was expected",
                variance=std**2,
            )


@rule(
    "UnchangedTensor",
    reads=("weights",),
    statistics=SAME,
    advice="See that the optimizer was given this tensor, and that its learning rate is not 0.",
)
def unchanged_tensor(
    view: View,
    *,
    collection_names: Words = "",
    tensor_regex: Words = "",
    num_steps: int = 3,
    rtol: float = 1e-05,
    atol: float = 1e-08,
    equal_nan: bool = False,
) -> Iterator[Finding]:
    """A tensor stays as it is.

    Fires if the last `num_steps` recorded are all close, as numpy.allclose(rtol, atol) has it,
    each to the one before. Where tensors themselves were not recorded, their mean, std, abs_mean,
    min and max must all be the same, bit by bit: elements can move by more than rtol while the mean
    of many hardly does. Looks at weights if no tensors are named.
    """
    for name in tensors(view, collection_names, tensor_regex, otherwise=("weights",)):
        last = view.rows(name, "tensor")[-num_steps:]
        if last and last[-1].step == view.step:
            same = _all_close(last, num_steps, (rtol, atol), equal_nan)
        else:
            same = all(_stays(view, name, statistic, num_steps) for statistic in SAME)
        if same:
            yield found(
                view,
                name,
                f"{name} has not changed in the last {num_steps} steps recorded",
                num_steps=num_steps,
            )


def _all_close(
    rows: list[Row], wanted: int, tolerances: tuple[float, float], equal_nan: bool
) -> bool:
    if len(rows) < wanted or len({len(row.values) for row in rows}) > 1:
        return False
    rtol, atol = tolerances
    arrays = [array(row) for row in rows]
    pairs = zip(arrays[1:], arrays, strict=False)
    return all(
        np.allclose(new, old, rtol=rtol, atol=atol, equal_nan=equal_nan) for new, old in pairs
    )


def _stays(view: View, name: str, statistic: str, wanted: int) -> bool:
    rows = view.rows(name, statistic)[-wanted:]
    if len(rows) < wanted or rows[-1].step != view.step:
        return False
    return len({row.value for row in rows}) == 1


@rule(
    "WeightUpdateRatio",
    reads=("weights",),
    statistics=("update_abs_mean", "abs_mean"),
    advice="Lower the learning rate if updates are large, raise it if they are tiny.",
)
def weight_update_ratio(
    view: View,
    *,
    num_steps: int | None = None,
    large_threshold: float = 10.0,
    small_threshold: float = 1e-8,
    epsilon: float = 1e-9,
) -> Iterator[Finding]:
    """Weights change by too much, or by too little, for their size.

    The ratio is mean |new - old| / (mean |old| + `epsilon`); it fires above `large_threshold` or
    below `small_threshold`. Old are the weights recorded before or, with `num_steps`, the first
    recorded not more than so many steps before: then the tensors themselves are needed.
    """
    for name in view.names("weights"):
        ratio = _update_ratio(view, name, num_steps, epsilon)
        if ratio is not None and not small_threshold <= ratio <= large_threshold:
            yield found(
                view,
                name,
                f"the update of {name} is {number(ratio)} of its size; {number(small_threshold)} "
                f"to {number(large_threshold)} was expected",
                ratio=ratio,
            )


def _update_ratio(view: View, name: str, num_steps: int | None, epsilon: float) -> float | None:
    new, rows = tensor(view, name), view.rows(name, "tensor")
    if new is not None:
        place = len(rows) - 2
        if num_steps is not None:
            place = rows.place_before(view.step - num_steps - 1) + 1
        if place < 0 or place >= len(rows) - 1:
            return None
        old = array(rows[place])
        return float(np.abs(new - old).mean() / (np.abs(old).mean() + epsilon))
    change, sizes = view.value(name, "update_abs_mean"), view.rows(name, "abs_mean")
    if num_steps is not None or change is None or len(sizes) < 2:
        return None
    return change / (sizes[-2].value + epsilon)
