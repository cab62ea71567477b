"""SageMaker's early stopping: a value worse than the median of the others' running averages.

After each epoch take the trial's value; for every earlier trial that reached this epoch take the
mean of its values up to it; stop if the value is worse than the median of these means. (Amazon
SageMaker Developer Guide 2023, "Stop Training Jobs Early", TrainingJobEarlyStoppingType Auto.)
There is no grace for first epochs or first trials: the guide has none.
"""

import math
from collections.abc import Sequence
from statistics import fmean, median

from stocktake.tune.stoppers import History, Stopper, stoppers


@stoppers.add("median")
def median_rule(*, direction: str) -> Stopper:
    """Stop a trial whose value is worse than the median of earlier trials' running averages."""
    sign = -1.0 if direction == "maximize" else 1.0

    def stops(current: History, earlier: Sequence[History]) -> bool:
        epoch = len(current)
        reached = [history[:epoch] for history in earlier if len(history) >= epoch]
        if not epoch or not reached:
            return False
        averages = [_cost(sign * fmean(history)) for history in reached]
        return _cost(sign * current[-1]) > median(averages)

    return stops


def _cost(value: float) -> float:
    """The value, lower is better; what is no number counts as the worst."""
    return math.inf if math.isnan(value) else value
