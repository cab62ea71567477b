"""Scorecard: all that is measured of a fold's scores, on one card."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.measure import baselines, bootstrap, conformal, metrics, selective, slices
from stocktake.measure.calibration import fit_temperature, with_temperature
from stocktake.measure.decoding import DECODINGS, OWN, best_for, decode
from stocktake.measure.metrics import Statistic
from stocktake.measure.prior import corrected
from stocktake.schema.cards import (
    Accepted,
    Baseline,
    Calibration,
    Choice,
    CountRow,
    DecodingFigure,
    Estimate,
    ReliabilityBin,
    ScoreCard,
    Slice,
)

Array = NDArray[Any]


@dataclass(frozen=True, kw_only=True, slots=True)
class Fold:
    """The scores of one fold's N photos, as the model gave them."""

    name: str
    log_probs: Array
    """float (N, K)."""
    counts: Array
    """int (N,), true counts."""
    groups: Array
    """(N,), sibling group of each photo."""
    partings: Sequence[slices.Parting] = ()
    """How traits of the photos part them into slices."""

    def __post_init__(self) -> None:
        if not len(self.counts):
            raise DataError(f"the {self.name} fold has no scored photo; score it or split again")

    @property
    def max_count(self) -> int:
        """Largest count the model can say."""
        return int(self.log_probs.shape[1]) - 1


@dataclass(frozen=True, kw_only=True, slots=True)
class Reading:
    """How a model's scores become answers, beside the calibration."""

    decode: str = "mode"
    """mode, median, mean or window."""
    choice: Choice | None = None
    """How that was chosen."""
    ratio: NDArray[np.float64] | None = None
    """float64 (K,), what moves answers to another mix of counts; see measure.prior."""
    mix: str = ""
    """That mix, in words."""
    counts: str = ""
    """Counts that the scores were limited to, in words."""


def honest_of(fold: Fold, temperature: float, reading: Reading) -> Array:
    """Log-probabilities as they are judged, (N, K): tempered, then moved to the stated mix."""
    return corrected(with_temperature(fold.log_probs, temperature), reading.ratio)


def calibrate(fold: Fold, *, coverage: float, reading: Reading | None = None) -> Calibration:
    """Temperature and interval threshold, fitted on `fold`.

    The temperature is fitted under the mix of training, the threshold under that of `reading`.

    Raises:
        DataError: if no photo of the fold has a count that the model can say.
    """
    temperature = fit_temperature(fold.log_probs, fold.counts)
    honest = honest_of(fold, temperature, reading or Reading())
    return Calibration(
        temperature=temperature,
        coverage=coverage,
        threshold=conformal.fit_threshold(honest, fold.counts, coverage=coverage),
        fold=fold.name,
        n=len(fold.counts),
        max_count=fold.max_count,
    )


def choose(fold: Fold, calibration: Calibration, reading: Reading, *, metric: str) -> Choice:
    """The way to decode that is best on `fold`; its name comes first among the values.

    Raises:
        DataError: for an unknown metric.
    """
    honest = honest_of(fold, calibration.temperature, reading)
    values = best_for(metric, honest, fold.counts)
    return Choice(metric=metric, fold=fold.name, n=len(fold.counts), values=values)


@dataclass(frozen=True, kw_only=True, slots=True)
class Resampling:
    """How intervals are made: sibling groups drawn `resamples` times."""

    resamples: int = 1000
    seed: int = 0


def build(
    fold: Fold,
    calibration: Calibration,
    *,
    train_counts: Mapping[int, int],
    reading: Reading,
    resampling: Resampling,
) -> ScoreCard:
    """The card of `fold`, judged after calibration, as answers are served.

    Args:
        fold: scores to judge; not those the calibration was fitted on.
        calibration: fitted on another fold.
        train_counts: photos of the train fold by true count, for the baselines.
        reading: how scores become answers.
        resampling: how intervals are made.

    Raises:
        DataError: if the fold fitted the calibration, or chose the decoding, or the train fold is
            empty.
    """
    _check_unseen(fold, calibration, reading)
    honest = honest_of(fold, calibration.temperature, reading)
    said = decode(honest, reading.decode)
    before = corrected(fold.log_probs, reading.ratio)
    guesses = baselines.guesses(train_counts)
    figures = _figures(fold, before, honest, said, calibration)
    figures["over_majority"] = _gain(said, fold.counts, guesses["majority"])
    found = _with_intervals(_all_statistics(figures, guesses, honest, fold), fold, resampling)
    return ScoreCard(
        fold=fold.name,
        n=len(fold.counts),
        groups=len(np.unique(fold.groups)),
        max_count=fold.max_count,
        beyond_max_count=int((fold.counts > fold.max_count).sum()),
        decode=reading.decode,
        temperature=calibration.temperature,
        coverage=calibration.coverage,
        nll_floor=metrics.NLL_FLOOR,
        floored=int((metrics.true_probabilities(honest, fold.counts) < metrics.NLL_FLOOR).sum()),
        metrics=found["metrics"],
        wilson=_wilson(figures),
        decodings={way: found[way] for way in DECODINGS},
        baselines=_baselines(guesses, found),
        per_count=_per_count(said, fold, guesses, resampling),
        confusion=metrics.confusion(said, fold.counts, max_count=fold.max_count).tolist(),
        reliability={
            "before": reliability(before, fold.counts),
            "after": reliability(honest, fold.counts),
        },
        selective=_selective(honest, said, fold, resampling),
        choice=reading.choice,
        by_decoding=_by_decoding(found),
        slices=_slices(said, fold, resampling),
        counts=reading.counts,
        mix=reading.mix,
        shift=_shift(honest, reading),
        calibration=calibration,
    )


def _check_unseen(fold: Fold, calibration: Calibration, reading: Reading) -> None:
    """Raise DataError if photos to judge had a part in making the answers."""
    if calibration.fold == fold.name:
        raise DataError(f"the {fold.name} fold fitted the calibration; judge another one")
    if reading.choice and reading.choice.fold == fold.name:
        raise DataError(f"the {fold.name} fold chose the decoding; judge another one")


def reliability(
    log_probs: Array, counts: Array, *, bins: int = metrics.BINS
) -> list[ReliabilityBin]:
    """Stated against observed confidence of the mode, by bins that hold photos."""
    confidence, right, places = metrics.by_confidence(log_probs, counts, bins=bins)
    found = []
    for place in np.unique(places).tolist():
        inside = places == place
        found.append(
            ReliabilityBin(
                low=place / bins,
                high=(place + 1) / bins,
                confidence=float(confidence[inside].mean()),
                accuracy=bootstrap.wilson(float(right[inside].sum()), int(inside.sum())),
            )
        )
    return found


def _selective(honest: Array, said: Array, fold: Fold, resampling: Resampling) -> list[Accepted]:
    resamples, seed = resampling.resamples, resampling.seed
    return selective.curve(honest, said, fold.counts, fold.groups, resamples=resamples, seed=seed)


def _wilson(figures: Mapping[str, Statistic]) -> dict[str, Estimate]:
    return {
        name: bootstrap.wilson(float(figure.terms.sum()), len(figure.terms))
        for name, figure in figures.items()
        if figure.kind == "share"
    }


def _slices(said: Array, fold: Fold, resampling: Resampling) -> list[Slice]:
    resamples, seed = resampling.resamples, resampling.seed
    return slices.measured(
        fold.partings, said, fold.counts, fold.groups, resamples=resamples, seed=seed
    )


def _baselines(
    guesses: Mapping[str, baselines.Guess], found: Mapping[str, dict[str, Estimate]]
) -> dict[str, Baseline]:
    return {
        name: Baseline(about=guess.about, answer=guess.constant, metrics=found[f"no-{name}"])
        for name, guess in guesses.items()
    }


def _shift(honest: Array, reading: Reading) -> list[float | None]:
    """What was added to the log-probability of each count; see ScoreCard.shift."""
    is_possible = np.isfinite(honest.max(axis=0))  # (K,)
    if reading.ratio is None and is_possible.all():
        return []
    added = np.zeros(len(is_possible)) if reading.ratio is None else reading.ratio
    return [float(a) if ok else None for a, ok in zip(added, is_possible, strict=True)]


def _by_decoding(found: Mapping[str, Mapping[str, Estimate]]) -> list[DecodingFigure]:
    return [
        DecodingFigure(decode=way, metric=metric, estimate=found[way][metric])
        for way, own in OWN.items()
        for metric in own
    ]


def _figures(
    fold: Fold, before: Array, honest: Array, said: Array, calibration: Calibration
) -> dict[str, Statistic]:
    """What is measured, by name; see ScoreCard.metrics."""
    counts = fold.counts
    low, high = conformal.intervals(honest, calibration.threshold)
    return {
        **_errors(said, counts),
        "kappa": metrics.agreement(said, counts),
        "nll": metrics.surprise(honest, counts),
        "nll_before": metrics.surprise(before, counts),
        "brier": metrics.brier_of(honest, counts),
        "brier_before": metrics.brier_of(before, counts),
        "ece": metrics.calibration_gap(honest, counts),
        "ece_before": metrics.calibration_gap(before, counts),
        "covered": metrics.mean_of((low <= counts) & (counts <= high), kind="share"),
        "width": metrics.mean_of(high - low + 1),
    }


def _errors(said: Array, counts: Array) -> dict[str, Statistic]:
    return {
        "accuracy": metrics.correct(said, counts),
        "within_one": metrics.near(said, counts),
        "rmse": metrics.squared(said, counts),
        "mae": metrics.absolute(said, counts),
    }


def _gain(said: Array, counts: Array, majority: baselines.Guess) -> Statistic:
    """Accuracy above always answering the commonest count, photo by photo."""
    return metrics.mean_of((said == counts) - 1.0 * (counts == majority.constant))


def _all_statistics(
    figures: Mapping[str, Statistic],
    guesses: Mapping[str, baselines.Guess],
    honest: Array,
    fold: Fold,
) -> dict[str, Mapping[str, Statistic]]:
    """Everything that gets an interval: metrics, each decoding, each baseline (no-NAME)."""
    return {
        "metrics": figures,
        **{way: _errors(decode(honest, way), fold.counts) for way in DECODINGS},
        **{f"no-{name}": guess.statistics(fold.counts) for name, guess in guesses.items()},
    }


def _with_intervals(
    families: Mapping[str, Mapping[str, Statistic]], fold: Fold, resampling: Resampling
) -> dict[str, dict[str, Estimate]]:
    """The same with estimates; one bootstrap for all, so that the draws are made once."""
    flat = {(f, name): one for f, family in families.items() for name, one in family.items()}
    found = bootstrap.estimates(
        flat, fold.groups, resamples=resampling.resamples, seed=resampling.seed
    )
    return {f: {name: found[f, name] for name in family} for f, family in families.items()}


def _per_count(
    said: Array, fold: Fold, guesses: Mapping[str, baselines.Guess], resampling: Resampling
) -> list[CountRow]:
    rows = []
    for count in np.unique(fold.counts).tolist():
        here = fold.counts == count
        off = said[here] - count
        rmse = bootstrap.estimates(
            {"rmse": metrics.root_of(off**2)},
            fold.groups[here],
            resamples=resampling.resamples,
            seed=resampling.seed,
        )["rmse"]
        rows.append(
            CountRow(
                count=count,
                n=len(off),
                accuracy=bootstrap.wilson(float((off == 0).sum()), len(off)),
                rmse=rmse,
                baselines={name: _exact(guess, count) for name, guess in guesses.items()},
            )
        )
    return rows


def _exact(guess: baselines.Guess, count: int) -> dict[str, float]:
    found = guess.statistics(np.array([count]))
    return {name: found[name].value for name in ("accuracy", "rmse") if name in found}
