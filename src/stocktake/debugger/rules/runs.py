"""What another run tells: whether two that should be the same are."""

import math
from collections.abc import Iterator, Sequence

import numpy as np

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import Record, View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import Words, found, number, tensor, tensors

COMPARED = ("value", "mean", "std", "abs_mean", "min", "max")
RTOL, ATOL = 1e-05, 1e-08
"""Those of numpy.allclose: SageMaker names no tolerance for this rule."""


@rule(
    "SimilarAcrossRuns",
    reads=("losses", "gradients", "weights", "biases"),
    statistics=COMPARED,
    modes=("train", "eval"),
    advice="Compare seeds, data and settings of both runs; see the first step that differs.",
)
def similar_across_runs(
    view: View,
    *,
    other_trials: Record | Sequence[Record] | None = None,
    collection_names: Words = "",
    tensor_regex: Words = "",
) -> Iterator[Finding]:
    """A tensor differs from that of another run at the same step.

    `other_trials` are the records of the others. Values are compared where both runs have them,
    else their mean, std, abs_mean, min and max. A step or tensor that one of them lacks is passed
    over. Looks at losses, gradients, weights and biases if no tensors are named.

    Raises:
        RuleError: without another record.
    """
    others = [other_trials] if isinstance(other_trials, Record) else list(other_trials or ())
    if not others or not all(isinstance(other, Record) for other in others):
        raise RuleError("SimilarAcrossRuns needs other_trials: the records of the runs to compare")
    wanted = ("losses", "gradients", "weights", "biases")
    for name in tensors(view, collection_names, tensor_regex, otherwise=wanted):
        for place, other in enumerate(others):
            there = View(other, view.mode, view.step, view.worker)
            for statistic, mine, its in _differences(view, there, name):
                yield found(
                    view,
                    name,
                    f"{statistic} of {name} is {number(mine)} here and {number(its)} in run "
                    f"{place + 1} of the others",
                    here=mine,
                    there=its,
                )


def _differences(view: View, there: View, name: str) -> Iterator[tuple[str, float, float]]:
    mine, its = tensor(view, name), tensor(there, name)
    if mine is not None and its is not None:
        if mine.shape != its.shape:
            yield "size", float(mine.size), float(its.size)
        elif not np.allclose(mine, its, rtol=RTOL, atol=ATOL, equal_nan=True):
            furthest = np.unravel_index(np.nanargmax(np.abs(mine - its)), mine.shape)
            yield "an element", float(mine[furthest]), float(its[furthest])
        return
    for statistic in COMPARED:
        a, b = view.value(name, statistic), there.value(name, statistic)
        if a is None or b is None or (math.isnan(a) and math.isnan(b)):
            continue
        if not abs(a - b) <= ATOL + RTOL * abs(b):
            yield statistic, a, b
