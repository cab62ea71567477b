"""What time tells: a training that stands still."""

from collections.abc import Iterator

from stocktake.debugger.records import MODES, View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import found, number


@rule(
    "StalledTrainingRule",
    reads=(),
    modes=MODES,
    advice="See whether the process lives, what it waits for, and whether its input still comes.",
)
def stalled_training(
    view: View,
    *,
    threshold: float = 1800.0,
    stop_training_on_fire: bool = False,
    training_job_name_prefix: str = "",
) -> Iterator[Finding]:
    """Nothing was recorded for a long time.

    Fires if `threshold` seconds went by without a row: before this step or, while rows may still
    come, until now. Stopping is for an action, so with `stop_training_on_fire` the check is given
    the action StopTraining; the prefix, which SageMaker needs to find the job, is not needed here.
    """
    record = view.record
    if view.clock:
        waited = view.clock - record.last_time
    else:
        before = record.time_before(view.mode, view.step, view.worker)
        waited = view.now - before if before else 0.0
    if waited > threshold:
        yield found(
            view,
            "",
            f"nothing was recorded for {number(waited)} s; at most {number(threshold)} s was "
            "expected",
            waited_s=waited,
        )
