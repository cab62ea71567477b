"""Slices: the same figures on parts of a fold, to see where a model is weak.

A part is cut by one trait of the photos at a time. Traits hang together (many products go with
large counts), so a weak slice says where to look, not why.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.measure import bootstrap, metrics
from stocktake.schema.cards import Slice

FEW = 30
"""Slices of fewer photos are kept, but their intervals are too wide to judge by."""
UNKNOWN = "not known"


@dataclass(frozen=True, kw_only=True, slots=True)
class Parting:
    """How one trait parts N photos."""

    name: str
    """The trait."""
    labels: Sequence[str]
    """L labels, in order."""
    places: NDArray[np.int64]
    """int64 (N,), the label of each photo; -1 where the trait is not known."""


def quarters(name: str, values: NDArray[np.float64], words: Sequence[str]) -> Parting:
    """Parts of about equal size along a measure; equal values stay together.

    Args:
        name: the trait.
        values: float64 (N,), nan where not known.
        words: what the lowest part is called, and so on to the highest; as many parts are made.
    """
    known = values[~np.isnan(values)]
    if not len(known):
        return Parting(name=name, labels=(), places=np.full(len(values), -1))
    inner = np.quantile(known, np.arange(1, len(words)) / len(words))
    places = np.searchsorted(inner, values, side="left")  # an edge belongs to the part below
    places[np.isnan(values)] = -1
    ends = [f"to {_short(edge)}" for edge in inner] + [f"above {_short(inner[-1])}"]
    labels = [f"{word} ({end})" for word, end in zip(words, ends, strict=True)]
    return Parting(name=name, labels=labels, places=places)


def whole(name: str, values: NDArray[np.float64], *, most: int) -> Parting:
    """A part for each whole number, those of `most` and above gathered; nan is not known."""
    places = np.where(np.isnan(values), -1, np.minimum(values, most)).astype(np.int64)
    labels = [*map(str, range(most)), f"{most} or more"]
    if not (values > most).any():
        labels[most] = str(most)
    return Parting(name=name, labels=labels, places=places)


def bands(name: str, numbers: NDArray[np.float64], *, parts: int = 5) -> Parting:
    """Parts of equal size along running numbers, each labelled with its first and last."""
    cut = quarters(name, numbers, [""] * parts)
    labels = []
    for place in range(len(cut.labels)):
        inside = numbers[cut.places == place]
        labels.append(f"{int(inside.min())} to {int(inside.max())}" if len(inside) else "none")
    return Parting(name=name, labels=labels, places=cut.places)


def measured(
    partings: Sequence[Parting],
    said: NDArray[Any],
    counts: NDArray[Any],
    groups: NDArray[Any],
    *,
    resamples: int,
    seed: int,
) -> list[Slice]:
    """Accuracy, within_one and rmse of every part that has photos; those not known come last.

    Args:
        partings: of the same N photos.
        said: int (N,), answers.
        counts: int (N,), true counts.
        groups: (N,), sibling group of each photo; resampled inside each part.
        resamples: draws of groups behind each interval.
        seed: of the draws.
    """
    found = []
    for parting in partings:
        labelled = [*enumerate(parting.labels), (-1, UNKNOWN)]
        for place, label in labelled:
            here = parting.places == place
            if not here.any():
                continue
            figures = {
                "accuracy": metrics.correct(said[here], counts[here]),
                "within_one": metrics.near(said[here], counts[here]),
                "rmse": metrics.squared(said[here], counts[here]),
            }
            n = int(here.sum())
            found.append(
                Slice(
                    name=parting.name,
                    label=label,
                    n=n,
                    groups=len(np.unique(groups[here])),
                    metrics=bootstrap.estimates(
                        figures, groups[here], resamples=resamples, seed=seed
                    ),
                    is_few=n < FEW,
                )
            )
    return found


def _short(value: float) -> str:
    """Three digits that count, never as a power of ten."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
