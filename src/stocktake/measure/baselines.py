"""Baselines: answers given without looking at the photo, from the train fold's counts alone.

A counter that does not beat them has learnt nothing from the pixels.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.measure.metrics import NLL_FLOOR, Statistic, mean_of, root_of


@dataclass(frozen=True, slots=True)
class Guess:
    """Answers drawn from `answers` with `chances`, whatever the photo; both (A,)."""

    about: str
    answers: NDArray[np.float64]
    chances: NDArray[np.float64]

    @property
    def constant(self) -> float | None:
        """The one answer it gives; None if it draws."""
        return float(self.answers[0]) if len(self.answers) == 1 else None

    def statistics(self, counts: NDArray[Any]) -> dict[str, Statistic]:
        """Its expected figures on photos with these true counts, (N,).

        accuracy, within_one, rmse and mae; for an answer that is no whole count only the latter
        two, for one that draws also nll.
        """
        off = np.abs(self.answers - np.asarray(counts)[:, None])  # (N, A)
        found = {"rmse": root_of((off**2) @ self.chances), "mae": mean_of(off @ self.chances)}
        if (self.answers == np.round(self.answers)).all():
            kind: Any = "share" if self.constant is not None else "figure"
            found["accuracy"] = mean_of((off == 0) @ self.chances, kind=kind)
            found["within_one"] = mean_of((off <= 1) @ self.chances, kind=kind)
        if self.constant is None:
            found["nll"] = mean_of(-np.log(np.maximum((off == 0) @ self.chances, NLL_FLOOR)))
        return found


def guesses(train_counts: Mapping[int, int]) -> dict[str, Guess]:
    """The baselines: majority, frequency, median and mean.

    Args:
        train_counts: photos of the train fold by true count.

    Raises:
        DataError: if the train fold is empty.
    """
    seen = sorted((count, photos) for count, photos in train_counts.items() if photos > 0)
    if not seen:
        raise DataError("the train fold has no photos to take baselines from; split again")
    answers = np.array([count for count, _ in seen], dtype=np.float64)
    photos = np.array([n for _, n in seen])
    majority = answers[photos.argmax()]  # the smallest of equals
    median = float(np.median(np.repeat(answers, photos)))
    mean = float((answers @ photos) / photos.sum())
    return {
        "majority": _always(majority, f"always {majority:g}, the commonest count in training"),
        "frequency": Guess(
            "a guess drawn as often as each count is in training", answers, photos / photos.sum()
        ),
        "median": _always(median, f"always {median:g}, the median in training"),
        "mean": _always(mean, f"always {mean:.2f}, the mean in training"),
    }


def _always(answer: float, about: str) -> Guess:
    return Guess(about, np.array([answer]), np.ones(1))
