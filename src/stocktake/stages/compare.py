"""Compare: two runs that were judged on the same photos, photo by photo."""

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, RunError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.measure.metrics import Statistic
    from stocktake.measure.paired import Difference

RESAMPLES = 1000


def paired(first: RunFolder, second: RunFolder) -> "dict[str, Difference]":
    """By how much the second's figures exceed the first's: accuracy, within_one, rmse and nll.

    Answers are those that evaluate judged: calibrated, limited, corrected and decoded as its
    scorecard says.

    Args:
        first: a finished run of evaluate.
        second: another one, on the same photos of the same fold.

    Raises:
        RunError: if one is not finished, or its scores are gone.
        DataError: if they were judged on other photos, or a file is damaged.
    """
    from stocktake.measure.paired import difference

    one, two = _judged(first), _judged(second)
    if one.truth != two.truth:
        common = len(one.truth.keys() & two.truth.keys())
        raise DataError(
            f"{one.name} and {two.name} were judged on other photos"
            f" ({len(one.truth)} and {len(two.truth)}, {common} of them the same);"
            " only runs of one split can be compared in pairs"
        )
    return {
        name: difference(figure, two.figures[name], one.groups, resamples=RESAMPLES, seed=0)
        for name, figure in one.figures.items()
    }


@dataclass(frozen=True, kw_only=True, slots=True)
class _Judged:
    """What a run was judged on, and its figures, by rising id."""

    name: str
    truth: dict[str, int]
    groups: Any
    figures: "dict[str, Statistic]"


def _judged(run: RunFolder) -> _Judged:
    from stocktake.measure import metrics
    from stocktake.schema import scores as schema
    from stocktake.schema.cards import ScoreCard
    from stocktake.stages.evaluate import EvaluateSettings, as_judged

    run.result()
    inputs = run.info().get("inputs", {})
    scores = RunFolder(Path(inputs.get("scores", {}).get("address", "")))
    if not inputs or not scores.artifact("scores.parquet").is_file():
        raise RunError(f"{run.path} names no scores that are still there; score again")
    settings = reader.build(EvaluateSettings, run.settings(), where=f"{run.path}/settings.json")
    card = ScoreCard.read(run.artifact("scorecard.json"))
    rows, log_probs, said = as_judged(scores, settings, card)
    counts = schema.counts(rows)
    return _Judged(
        name=run.path.parent.name,
        truth=dict(zip(rows["photo_id"].to_pylist(), counts.tolist(), strict=True)),
        groups=rows["group"].to_numpy(zero_copy_only=False),
        figures={
            "accuracy": metrics.correct(said, counts),
            "within_one": metrics.near(said, counts),
            "rmse": metrics.squared(said, counts),
            "nll": metrics.surprise(log_probs, counts),
        },
    )
