"""Selective: what is right among the answers the model is surest of, if the rest go to a person.

The risk-coverage curve of El-Yaniv and Wiener 2010 (JMLR 11), told as accuracy, since one minus the
risk is what a warehouse asks for.
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.measure import bootstrap, metrics
from stocktake.schema.cards import Accepted

SHARES = (0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0)


def curve(
    log_probs: NDArray[Any],
    said: NDArray[Any],
    counts: NDArray[Any],
    groups: NDArray[Any],
    *,
    resamples: int,
    seed: int,
) -> list[Accepted]:
    """What the surest 10 %, 20 % ... 100 % of answers are worth; shares without a photo left out.

    A photo is as sure as the probability of its likeliest count; of equals the first come first.

    Args:
        log_probs: float (N, K), calibrated.
        said: int (N,), answers.
        counts: int (N,), true counts.
        groups: (N,), sibling group of each photo.
        resamples: draws of groups behind each interval.
        seed: of the draws.
    """
    sure = np.exp(log_probs.max(axis=1))
    order = np.argsort(-sure, kind="stable")
    found = []
    for share in SHARES:
        n = round(share * len(order))
        if not n:
            continue
        here = order[:n]
        figures = {
            "accuracy": metrics.correct(said[here], counts[here]),
            "within_one": metrics.near(said[here], counts[here]),
        }
        estimates = bootstrap.estimates(figures, groups[here], resamples=resamples, seed=seed)
        found.append(
            Accepted(
                share=share,
                least_confidence=float(sure[here[-1]]),
                accuracy=estimates["accuracy"],
                within_one=estimates["within_one"],
            )
        )
    return found
