"""Metrics: each a Statistic, a figure that follows from means over photos alone.

That one form makes aggregation exact whatever the batches, and lets the bootstrap resample all
figures at once by weighing sums. The plain functions (`accuracy(said, counts)`...) are the values.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError

Array = NDArray[Any]

BINS = 15
"""Confidence bins, as in Guo et al. 2017 (arXiv 1706.04599)."""
NLL_FLOOR = 1e-6
"""Probabilities below it count as it: a true count above max_count has probability 0, and one such
photo would make the mean infinite. -log of it is 13.8."""


@dataclass(frozen=True, slots=True)
class Statistic:
    """A figure of N photos: `combine` of the mean of its terms."""

    terms: NDArray[np.float64]
    """float64 (N, M): what each photo contributes."""
    combine: Callable[[NDArray[np.float64]], NDArray[np.float64]]
    """(..., M) means over photos -> (...) figures."""
    kind: Literal["figure", "share", "gap"] = "figure"
    """share: between 0 and 1, a mean of yes and no; gap: 0 or more, and biased upwards by noise."""

    @property
    def value(self) -> float:
        """The figure on all the photos."""
        return float(self.combine(self.terms.mean(axis=0)))


def correct(said: Array, counts: Array) -> Statistic:
    """Accuracy: share of photos counted right."""
    _check(said, counts)
    return mean_of(said == counts, kind="share")


def near(said: Array, counts: Array) -> Statistic:
    """Share of photos counted right or off by one."""
    _check(said, counts)
    return mean_of(np.abs(said - counts) <= 1, kind="share")


def squared(said: Array, counts: Array) -> Statistic:
    """Root of the mean squared error, in things."""
    _check(said, counts)
    return root_of((said - counts) ** 2)


def absolute(said: Array, counts: Array) -> Statistic:
    """Mean absolute error, in things."""
    _check(said, counts)
    return mean_of(np.abs(said - counts))


def agreement(said: Array, counts: Array) -> Statistic:
    """Cohen's kappa with quadratic weights: 1 for perfect, 0 for chance (Cohen 1968).

    With weights (i - j)^2 it needs means only, not the whole table; 0 where all is one count.
    """
    _check(said, counts)
    said, counts = said.astype(np.float64), counts.astype(np.float64)
    terms = np.stack([(said - counts) ** 2, said**2, counts**2, said, counts], axis=1)

    def combine(means: NDArray[np.float64]) -> NDArray[np.float64]:
        off, said2, true2, said1, true1 = np.moveaxis(means, -1, 0)
        by_chance = said2 + true2 - 2 * said1 * true1
        safe = np.where(by_chance > 1e-12, by_chance, 1.0)
        return np.where(by_chance > 1e-12, 1 - off / safe, 0.0)

    return Statistic(terms, combine)


def surprise(log_probs: Array, counts: Array, *, floor: float = NLL_FLOOR) -> Statistic:
    """Mean negative log-likelihood in nats, probabilities floored."""
    return mean_of(-np.log(np.maximum(true_probabilities(log_probs, counts), floor)))


def brier_of(log_probs: Array, counts: Array) -> Statistic:
    """Brier score over all counts: mean squared distance to certainty, 0 to 2 (Brier 1950).

    A true count above max_count adds its missing 1.
    """
    at_truth = true_probabilities(log_probs, counts)
    squares = (np.exp(np.asarray(log_probs, dtype=np.float64)) ** 2).sum(axis=1)
    return mean_of(squares - 2 * at_truth + 1)


def calibration_gap(log_probs: Array, counts: Array, *, bins: int = BINS) -> Statistic:
    """Expected calibration error: mean gap between stated and observed confidence of the mode.

    Guo et al. 2017, equation 3: |accuracy - confidence| per equal-width bin, weighted by photos.
    """
    confidence, right, places = by_confidence(log_probs, counts, bins=bins)
    terms = np.zeros((len(counts), bins))
    terms[np.arange(len(counts)), places] = right - confidence
    return Statistic(terms, lambda means: np.abs(means).sum(axis=-1), "gap")


def by_confidence(
    log_probs: Array, counts: Array, *, bins: int = BINS
) -> tuple[NDArray[np.float64], NDArray[np.bool_], NDArray[np.int64]]:
    """Confidence of the mode, whether it is right, and its bin ((b-1)/bins, b/bins], all (N,)."""
    _check(log_probs, counts)
    probabilities = np.exp(np.asarray(log_probs, dtype=np.float64))
    confidence = probabilities.max(axis=1).clip(max=1.0)
    right = probabilities.argmax(axis=1) == counts
    places = np.ceil(confidence * bins).astype(np.int64).clip(1, bins) - 1
    return confidence, right, places


def true_probabilities(log_probs: Array, counts: Array) -> NDArray[np.float64]:
    """Probability of each true count, (N,); 0 above max_count."""
    _check(log_probs, counts)
    highest = log_probs.shape[1] - 1
    rows = np.arange(len(counts))
    picked = np.exp(np.asarray(log_probs, dtype=np.float64)[rows, np.minimum(counts, highest)])
    return np.where(counts <= highest, picked, 0.0)


def confusion(said: Array, counts: Array, *, max_count: int) -> NDArray[np.int64]:
    """Photos by true count (rows, 0 to the largest) and answered count (columns, 0..max_count)."""
    _check(said, counts)
    rows, columns = int(counts.max()) + 1, max_count + 1
    flat = np.bincount(counts * columns + said, minlength=rows * columns)
    return flat.reshape(rows, columns)


def mean_of(terms: Array, *, kind: Literal["figure", "share"] = "figure") -> Statistic:
    """The mean of one term per photo, (N,)."""
    return Statistic(np.asarray(terms, dtype=np.float64)[:, None], lambda m: m[..., 0], kind)


def root_of(terms: Array) -> Statistic:
    """The root of the mean of one term per photo, (N,)."""
    return Statistic(
        np.asarray(terms, dtype=np.float64)[:, None], lambda m: np.sqrt(m[..., 0].clip(min=0))
    )


def accuracy(said: Array, counts: Array) -> float:
    """Share of photos counted right, 0 to 1."""
    return correct(said, counts).value


def within_one(said: Array, counts: Array) -> float:
    """Share of photos counted right or off by one, 0 to 1."""
    return near(said, counts).value


def rmse(said: Array, counts: Array) -> float:
    """Root of the mean squared error, in things."""
    return squared(said, counts).value


def mae(said: Array, counts: Array) -> float:
    """Mean absolute error, in things."""
    return absolute(said, counts).value


def quadratic_kappa(said: Array, counts: Array) -> float:
    """Agreement beyond chance with quadratic weights, up to 1."""
    return agreement(said, counts).value


def nll(log_probs: Array, counts: Array, *, floor: float = NLL_FLOOR) -> float:
    """Mean negative log-likelihood in nats, probabilities floored."""
    return surprise(log_probs, counts, floor=floor).value


def brier(log_probs: Array, counts: Array) -> float:
    """Brier score over all counts, 0 to 2."""
    return brier_of(log_probs, counts).value


def expected_calibration_error(log_probs: Array, counts: Array, *, bins: int = BINS) -> float:
    """Mean gap between stated and observed confidence, 0 (honest) to 1."""
    return calibration_gap(log_probs, counts, bins=bins).value


def _check(answers: Array, counts: Array) -> None:
    if len(answers) != len(counts):
        raise DataError(f"{len(answers)} answers but {len(counts)} true counts; score again")
    if not len(counts):
        raise DataError("no photos to measure on; choose a fold that has some")
