"""No stopping: every trial runs to its end."""

from collections.abc import Sequence

from stocktake.tune.stoppers import History, Stopper, stoppers


@stoppers.add("none")
def none(*, direction: str) -> Stopper:
    """Never stop a trial."""

    def stops(current: History, earlier: Sequence[History]) -> bool:
        return False

    return stops
