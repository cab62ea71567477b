"""Evaluate: calibrate on one fold, judge another, put it all on a scorecard with intervals."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from stocktake.data.counts import Counts
from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stocktake.measure.scorecard import Fold, Reading
    from stocktake.measure.slices import Parting
    from stocktake.schema.cards import Calibration, ScoreCard

CALIB = "calib"
"""The fold for temperature and intervals: nothing else is fitted on it."""
CHOOSING = "val"
"""The fold that a decoding is chosen on: training has looked at it already."""
DECODES = ("mode", "median", "mean", "window", "chosen")
DECODES_FOR = ("accuracy", "within_one", "rmse", "mae")
MIDDLE = ("second quarter", "third quarter")
MOST_PRODUCTS, MOST_COUNT = 5, 10
"""From here on products and true counts are gathered in one slice."""


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
    """How probabilities become one count: mode, median, mean, window (most probability within one),
    or chosen: the one of these that is best on the val fold."""
    decode_for: str = "accuracy"
    """What chosen chooses by: accuracy, within_one, rmse or mae."""
    counts: str = ""
    """True counts to judge, such as "1-5"; answers and calibration are limited to them as well."""
    source: str = ""
    """Photos never ingested, with their true counts, for a bundle to be judged on: a folder or
    s3://BUCKET/PREFIX with bin-images/ID.jpg and metadata/ID.json."""
    endpoint_url: str = ""
    """Address of an S3-compatible server, for s3:// sources outside AWS."""
    anonymous: bool = False
    """Read a bucket without credentials, as public ones allow."""
    mix: str = ""
    """Mix of counts that answers expect: "" or train as in training, uniform, or shares such as
    "1=0.2,2=0.3,3=0.5"."""

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
        for name, known in (("decode", DECODES), ("decode_for", DECODES_FOR)):
            if getattr(self, name) not in known:
                raise ValueError(f'{name} must be {_listed(known)}, got "{getattr(self, name)}"')
        if self.decode == "chosen" and self.fold == CHOOSING:
            raise ValueError(
                f'decode = "chosen" is chosen on the {CHOOSING} fold, which is not judged then;'
                " set another fold, or a decode"
            )
        Counts(self.counts)
        if self.mix not in ("", "train", "uniform"):
            from stocktake.measure.prior import shares_of

            shares_of(self.mix)


def _listed(words: tuple[str, ...]) -> str:
    quoted = [f'"{word}"' for word in words]
    return f"{', '.join(quoted[:-1])} or {quoted[-1]}"


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
    chosen_for: str
    """What that was chosen for on the val fold; empty if it was set."""
    beyond_max_count: int
    """Photos whose true count the model cannot say; counted as wrong."""


def outside(settings: EvaluateSettings) -> str:
    """Digest of what the source lists, if there is one."""
    from stocktake.stages import fresh

    return fresh.listed(settings) if settings.source else ""


def evaluate(
    *,
    settings: EvaluateSettings,
    run: RunFolder,
    photos: RunFolder | None = None,
    scores: RunFolder | None = None,
    bundle: RunFolder | None = None,
) -> EvaluateResult:
    """Write scorecard.json and calibration.json.

    Either `photos` and `scores` are given, and a fold is judged; or `bundle` is, and the photos of
    `settings.source` are, with the calibration that the bundle has.

    calibration.json is that of the model as it is served: neither `counts` nor `mix` have a part in
    it. The scorecard holds the one it was judged with.

    Raises:
        SettingsError: if a bundle is to be judged and no source of photos is named.
        DataError: if the scores are damaged, a fold that is needed has no scored photo, or a photo
            that was scored is not among the photos.
    """
    from stocktake.measure import scorecard
    from stocktake.stages import fresh

    if bundle is not None:
        found = fresh.scored(bundle, settings, run)
        card = _judged(found.table, run, found.calibration, found.train_counts, settings, run)
        found.calibration.write(run.artifact("calibration.json"))
        return _result(card)
    assert photos is not None and scores is not None, "the table of stages says what is given"
    from stocktake.schema import scores as schema
    from stocktake.store.tables import read_table

    table = read_table(scores.artifact("scores.parquet"), format=schema.FORMAT)
    schema.check(table)
    train_counts = _train_counts(scores, settings.counts)
    reading = _reading(settings, train_counts, schema.max_count(table))
    calib = _fold(table, CALIB, counts=settings.counts)
    calibration = scorecard.calibrate(calib, coverage=settings.coverage, reading=reading)
    _say_doubts(calibration, run)
    card = _judged(table, photos, calibration, train_counts, settings, run)
    served = scorecard.calibrate(_fold(table, CALIB), coverage=settings.coverage)
    served.write(run.artifact("calibration.json"))
    return _result(card)


def _judged(
    table: Any,
    photos: RunFolder,
    calibration: "Calibration",
    train_counts: Mapping[int, int],
    settings: EvaluateSettings,
    run: RunFolder,
) -> "ScoreCard":
    """Judge the fold of a table of scores, and write scorecard.json."""
    from stocktake.measure import scorecard
    from stocktake.schema import scores as schema

    reading = _reading(settings, train_counts, schema.max_count(table))
    judged = replace(
        _fold(table, settings.fold, counts=settings.counts),
        partings=_partings(photos, _rows(table, settings.fold, settings.counts), run),
    )
    if settings.decode == "chosen":
        choosing = _fold(table, CHOOSING, counts=settings.counts)
        choice = scorecard.choose(choosing, calibration, reading, metric=settings.decode_for)
        reading = replace(reading, decode=next(iter(choice.values)), choice=choice)
    card = scorecard.build(
        judged,
        calibration,
        train_counts=train_counts,
        reading=reading,
        resampling=scorecard.Resampling(resamples=settings.resamples, seed=settings.seed),
    )
    if card.beyond_max_count:
        run.warn(
            f"{card.beyond_max_count} of {card.n} photos have a true count above"
            f" {card.max_count}, which the model cannot say: counted as wrong"
        )
    card.write(run.artifact("scorecard.json"))
    return card


def as_judged(
    scores: RunFolder, settings: EvaluateSettings, card: "ScoreCard"
) -> "tuple[Any, NDArray[Any], NDArray[np.int64]]":
    """What a card was made of: rows of scores by rising id (N), log_probs (N, K), answers (N,).

    Args:
        scores: the run of score that was judged.
        settings: those that made the card.
        card: the card; it says the temperature, and the decoding where that was chosen.

    Raises:
        DataError: if the scores are damaged or hold no photo to judge.
    """
    from stocktake.measure import decoding, scorecard
    from stocktake.schema import scores as schema
    from stocktake.store.tables import read_table

    table = read_table(scores.artifact("scores.parquet"), format=schema.FORMAT)
    table = table.sort_by("photo_id")
    reading = _reading(settings, _train_counts(scores, settings.counts), schema.max_count(table))
    fold = _fold(table, settings.fold, counts=settings.counts)
    log_probs = scorecard.honest_of(fold, card.temperature, reading)
    rows = _rows(table, settings.fold, settings.counts)
    return rows, log_probs, decoding.decode(log_probs, card.decode)


def _reading(
    settings: EvaluateSettings, train_counts: Mapping[int, int], max_count: int
) -> "Reading":
    """How scores become answers; the decoding is still to be chosen where it is."""
    from stocktake.measure import prior
    from stocktake.measure.scorecard import Reading

    return Reading(
        decode="mode" if settings.decode == "chosen" else settings.decode,
        ratio=prior.log_ratio(settings.mix, train_counts, max_count=max_count),
        mix="" if settings.mix == "train" else settings.mix,
        counts=settings.counts,
    )


def _rows(table: Any, name: str, counts: str) -> Any:
    """The scores of one fold's photos with these true counts; DataError that says what is there."""
    from collections import Counter

    from stocktake.schema import scores as schema

    rows = schema.of_folds(table, [name])
    if not len(rows):
        found = Counter(table["fold"].to_pylist())
        there = ", ".join(f"{fold} {photos}" for fold, photos in sorted(found.items()))
        raise DataError(
            f"the scores hold no photo of the {name} fold, only {there or 'nothing'};"
            f" put '{name}' into score.folds, or give it photos in split"
        )
    wanted = Counts(counts)
    found_counts = schema.counts(rows).tolist()
    rows = rows.filter([count in wanted for count in found_counts])
    if not len(rows):
        there = ", ".join(map(str, sorted(set(found_counts))))
        raise DataError(
            f"no scored photo of the {name} fold has a true count in evaluate.counts = {counts},"
            f" only {there}"
        )
    return rows


def _fold(table: Any, name: str, *, counts: str = "") -> "Fold":
    """The scores of one fold, limited to these counts."""
    from stocktake.measure import prior
    from stocktake.measure.scorecard import Fold
    from stocktake.schema import scores as schema

    rows = _rows(table, name, counts)
    log_probs = schema.matrix(rows)
    if counts:
        wanted = Counts(counts)
        log_probs = prior.limited(log_probs, [c for c in range(log_probs.shape[1]) if c in wanted])
    return Fold(
        name=name,
        log_probs=log_probs,
        counts=schema.counts(rows),
        groups=rows["group"].to_numpy(zero_copy_only=False),
    )


def _partings(photos: RunFolder, rows: Any, run: RunFolder) -> "list[Parting]":
    """How the photos in these rows of scores fall into slices."""
    import numpy as np

    from stocktake.data import traits
    from stocktake.measure import slices
    from stocktake.schema import scores as schema
    from stocktake.store.shards import PhotoShards

    photo_ids = rows["photo_id"].to_pylist()
    found = traits.of_photos(
        PhotoShards.open(photos.artifact("photos")),
        photo_ids,
        workers=os.cpu_count() or 1,
        on_look=lambda done: run.progress(done, len(photo_ids), "photos"),
    )
    unseen = int(np.isnan(found.luma).sum())
    if unseen:
        run.warn(f"{unseen} of {len(photo_ids)} photos cannot be decoded any more; ingest again")
    counts: NDArray[np.float64] = schema.counts(rows).astype(np.float64)
    return [
        slices.whole("true count", counts, most=MOST_COUNT),
        slices.whole("different products", found.products, most=MOST_PRODUCTS),
        slices.quarters(
            "item size, cubic inches",
            found.item_volume_in3,
            ("smallest", *MIDDLE, "largest"),
        ),
        slices.quarters("sharpness", found.sharpness, ("most blurred", *MIDDLE, "sharpest")),
        slices.quarters("brightness", found.luma, ("darkest", *MIDDLE, "brightest")),
        slices.bands("id", found.number),
    ]


def _train_counts(scores: RunFolder, counts: str) -> dict[int, int]:
    """Photos of the train fold by true count, of these counts, from the result of score."""
    found = scores.result().get("counts_by_fold", {}).get("train")
    if not found:
        raise DataError(
            f"{scores.path} does not say the train fold's counts, which the baselines need;"
            " score again"
        )
    wanted = Counts(counts)
    kept = {int(count): int(photos) for count, photos in found.items() if int(count) in wanted}
    if not any(kept.values()):
        raise DataError(
            f"the train fold has no photo with a true count in evaluate.counts = {counts}, only"
            f" {', '.join(found)}"
        )
    return kept


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
        chosen_for=card.choice.metric if card.choice else "",
        beyond_max_count=card.beyond_max_count,
        **{name: values[name] for name in copied},
    )
