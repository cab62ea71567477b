"""Scorecard: all that is measured of a fold's scores, on one card."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.measure import baselines, bootstrap, conformal, metrics, selective
from stocktake.measure.calibration import fit_temperature, with_temperature
from stocktake.measure.decoding import DECODINGS, decode
from stocktake.measure.metrics import Statistic
from stocktake.schema.cards import (
    Accepted,
    Baseline,
    Calibration,
    CountRow,
    Estimate,
    ReliabilityBin,
    ScoreCard,
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

    def __post_init__(self) -> None:
        if not len(self.counts):
            raise DataError(f"the {self.name} fold has no scored photo; score it or split again")

    @property
    def max_count(self) -> int:
        """Largest count the model can say."""
        return int(self.log_probs.shape[1]) - 1


def calibrate(fold: Fold, *, coverage: float) -> Calibration:
    """Temperature and interval threshold, fitted on `fold`.

    Raises:
        DataError: if no photo of the fold has a count that the model can say.
    """
    temperature = fit_temperature(fold.log_probs, fold.counts)
    honest = with_temperature(fold.log_probs, temperature)
    return Calibration(
        temperature=temperature,
        coverage=coverage,
        threshold=conformal.fit_threshold(honest, fold.counts, coverage=coverage),
        fold=fold.name,
        n=len(fold.counts),
        max_count=fold.max_count,
    )


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
    decoding: str,
    resampling: Resampling,
) -> ScoreCard:
    """The card of `fold`, judged after calibration, as answers are served.

    Args:
        fold: scores to judge; not those the calibration was fitted on.
        calibration: fitted on another fold.
        train_counts: photos of the train fold by true count, for the baselines.
        decoding: mode, median or mean.
        resampling: how intervals are made.

    Raises:
        DataError: if the fold fitted the calibration, or the train fold is empty.
    """
    if calibration.fold == fold.name:
        raise DataError(f"the {fold.name} fold fitted the calibration; judge another one")
    honest = with_temperature(fold.log_probs, calibration.temperature)
    said = decode(honest, decoding)
    guesses = baselines.guesses(train_counts)
    figures = _figures(fold, honest, said, calibration)
    figures["over_majority"] = _gain(said, fold.counts, guesses["majority"])
    found = _with_intervals(_all_statistics(figures, guesses, honest, fold), fold, resampling)
    return ScoreCard(
        fold=fold.name,
        n=len(fold.counts),
        groups=len(np.unique(fold.groups)),
        max_count=fold.max_count,
        beyond_max_count=int((fold.counts > fold.max_count).sum()),
        decode=decoding,
        temperature=calibration.temperature,
        coverage=calibration.coverage,
        nll_floor=metrics.NLL_FLOOR,
        floored=int((metrics.true_probabilities(honest, fold.counts) < metrics.NLL_FLOOR).sum()),
        metrics=found["metrics"],
        wilson={
            name: bootstrap.wilson(float(figure.terms.sum()), len(figure.terms))
            for name, figure in figures.items()
            if figure.kind == "share"
        },
        decodings={way: found[way] for way in DECODINGS},
        baselines={
            name: Baseline(about=guess.about, answer=guess.constant, metrics=found[f"no-{name}"])
            for name, guess in guesses.items()
        },
        per_count=_per_count(said, fold, guesses, resampling),
        confusion=metrics.confusion(said, fold.counts, max_count=fold.max_count).tolist(),
        reliability={
            "before": reliability(fold.log_probs, fold.counts),
            "after": reliability(honest, fold.counts),
        },
        selective=_selective(honest, said, fold, resampling),
    )


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


def _figures(
    fold: Fold, honest: Array, said: Array, calibration: Calibration
) -> dict[str, Statistic]:
    """What is measured, by name; see ScoreCard.metrics."""
    counts = fold.counts
    low, high = conformal.intervals(honest, calibration.threshold)
    return {
        **_errors(said, counts),
        "kappa": metrics.agreement(said, counts),
        "nll": metrics.surprise(honest, counts),
        "nll_before": metrics.surprise(fold.log_probs, counts),
        "brier": metrics.brier_of(honest, counts),
        "brier_before": metrics.brier_of(fold.log_probs, counts),
        "ece": metrics.calibration_gap(honest, counts),
        "ece_before": metrics.calibration_gap(fold.log_probs, counts),
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
