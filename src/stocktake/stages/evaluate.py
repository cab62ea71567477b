"""Evaluate: calibrate on one fold, judge another, put it all on a scorecard with intervals."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.measure.scorecard import Fold
    from stocktake.schema.cards import Calibration, ScoreCard

CALIB = "calib"
"""The fold for temperature and intervals: nothing else is fitted on it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateSettings:
    """What to judge, and how."""

    fold: str = "test"
    """Fold to judge: test, val or train."""
    coverage: float = 0.90
    """Share of photos whose true count the intervals shall hold, 0 to 1."""
    resamples: int = 1000
    """Draws of sibling groups behind each interval, 100 or more."""
    seed: int = 0
    """Seed of these draws."""
    decode: str = "mode"
    """How probabilities become one count: mode, median or mean."""

    def __post_init__(self) -> None:
        if self.fold not in ("test", "val", "train"):
            raise ValueError(
                f'fold must be "test", "val" or "train", got "{self.fold}"; calib is taken for'
                " fitting the calibration"
            )
        if not 0 < self.coverage < 1:
            raise ValueError(f"coverage must be between 0 and 1, got {self.coverage}")
        if self.resamples < 100:
            raise ValueError(f"resamples must be 100 or more, got {self.resamples}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if self.decode not in ("mode", "median", "mean"):
            raise ValueError(f'decode must be "mode", "median" or "mean", got "{self.decode}"')


@dataclass(frozen=True, kw_only=True, slots=True)
class EvaluateResult:
    """The headlines; scorecard.json has all of it, each number with its interval."""

    fold: str
    """Fold judged."""
    n: int
    """Photos in it."""
    groups: int
    """Sibling groups in it."""
    accuracy: float
    """Share of photos counted right, 0 to 1."""
    accuracy_low: float
    """Lower end of its 95 % interval, sibling groups resampled."""
    accuracy_high: float
    """Upper end."""
    majority_accuracy: float
    """What always answering the train fold's commonest count scores on the same photos."""
    over_majority: float
    """Accuracy above that."""
    over_majority_low: float
    """Lower end of its 95 % interval; above 0 the model is better than by luck."""
    over_majority_high: float
    """Upper end."""
    within_one: float
    """Share of photos counted right or off by one."""
    rmse: float
    """Root of the mean squared error, in things."""
    mae: float
    """Mean absolute error, in things."""
    kappa: float
    """Quadratic-weighted kappa, up to 1."""
    nll: float
    """Mean negative log-likelihood after calibration, in nats."""
    ece: float
    """Expected calibration error after calibration, 0 to 1."""
    ece_before: float
    """The same before."""
    temperature: float
    """What log-probabilities are divided by."""
    coverage: float
    """Share of photos the intervals promise to hold."""
    covered: float
    """Share they did hold."""
    width: float
    """Mean number of counts in an interval."""
    decode: str
    """How probabilities became one count."""
    beyond_max_count: int
    """Photos whose true count the model cannot say; counted as wrong."""


def evaluate(*, scores: RunFolder, settings: EvaluateSettings, run: RunFolder) -> EvaluateResult:
    """Write scorecard.json and calibration.json.

    Raises:
        DataError: if the scores are damaged or one of the two folds has no scored photo.
    """
    from stocktake.measure import scorecard
    from stocktake.schema import scores as schema
    from stocktake.store.tables import read_table

    table = read_table(scores.artifact("scores.parquet"), format=schema.FORMAT)
    schema.check(table)
    train_counts = _train_counts(scores)
    calibration = scorecard.calibrate(_fold(table, CALIB), coverage=settings.coverage)
    _say_doubts(calibration, run)
    card = scorecard.build(
        _fold(table, settings.fold),
        calibration,
        train_counts=train_counts,
        decoding=settings.decode,
        resampling=scorecard.Resampling(resamples=settings.resamples, seed=settings.seed),
    )
    if card.beyond_max_count:
        run.warn(
            f"{card.beyond_max_count} of {card.n} photos have a true count above"
            f" {card.max_count}, which the model cannot say: counted as wrong"
        )
    calibration.write(run.artifact("calibration.json"))
    card.write(run.artifact("scorecard.json"))
    return _result(card)


def _fold(table: Any, name: str) -> "Fold":
    """The scores of one fold; DataError that says what is there if it has none."""
    from collections import Counter

    from stocktake.measure.scorecard import Fold
    from stocktake.schema import scores as schema

    rows = schema.of_folds(table, [name])
    if not len(rows):
        found = Counter(table["fold"].to_pylist())
        there = ", ".join(f"{fold} {photos}" for fold, photos in sorted(found.items()))
        raise DataError(
            f"the scores hold no photo of the {name} fold, only {there or 'nothing'};"
            f" put '{name}' into score.folds, or give it photos in split"
        )
    return Fold(
        name=name,
        log_probs=schema.matrix(rows),
        counts=schema.counts(rows),
        groups=rows["group"].to_numpy(zero_copy_only=False),
    )


def _train_counts(scores: RunFolder) -> dict[int, int]:
    """Photos of the train fold by true count, from the result of score."""
    found = scores.result().get("counts_by_fold", {}).get("train")
    if not found:
        raise DataError(
            f"{scores.path} does not say the train fold's counts, which the baselines need;"
            " score again"
        )
    return {int(count): int(photos) for count, photos in found.items()}


def _say_doubts(calibration: "Calibration", run: RunFolder) -> None:
    from stocktake.measure.calibration import HIGHEST, LOWEST

    if not LOWEST * 1.01 < calibration.temperature < HIGHEST / 1.01:
        run.warn(
            f"the temperature {calibration.temperature:.3g} lies at the end of its range,"
            f" {LOWEST:g} to {HIGHEST:g}: probabilities will not be honest; train longer or on more"
        )
    if calibration.threshold == 1.0:
        run.warn(
            f"intervals hold every count: the {calibration.n} photos of the {calibration.fold} fold"
            f" are too few, or too badly counted, for a coverage of {calibration.coverage:.0%};"
            " split more photos into it"
        )


def _result(card: "ScoreCard") -> EvaluateResult:
    values = {name: estimate.value for name, estimate in card.metrics.items()}
    copied = ("within_one", "rmse", "mae", "kappa", "nll", "ece", "ece_before", "covered", "width")
    return EvaluateResult(
        fold=card.fold,
        n=card.n,
        groups=card.groups,
        accuracy=values["accuracy"],
        accuracy_low=card.metrics["accuracy"].low,
        accuracy_high=card.metrics["accuracy"].high,
        majority_accuracy=card.baselines["majority"].metrics["accuracy"].value,
        over_majority=values["over_majority"],
        over_majority_low=card.metrics["over_majority"].low,
        over_majority_high=card.metrics["over_majority"].high,
        temperature=card.temperature,
        coverage=card.coverage,
        decode=card.decode,
        beyond_max_count=card.beyond_max_count,
        **{name: values[name] for name in copied},
    )
