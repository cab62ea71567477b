"""Prior: answers under another mix of counts than the one the model was trained on.

By Bayes' rule a distribution learnt under one mix becomes that under another if every probability
is multiplied by the ratio of the two shares of its count, and the row is made to sum to 1 again
(Saerens, Latinne, Decaestecker 2002, "Adjusting the outputs of a classifier to new a priori
probabilities", Neural Computation 14, equation 2.4). It holds for honest probabilities, so after
the temperature. Losses or samplers that weigh counts change what mix was learnt; that is not known
here.
"""

import math
import re
from collections.abc import Collection, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError

SLACK = 0.01
"""Shares are written by hand, as thirds of 0.33: they may miss 1 by this."""


def shares_of(mix: str) -> dict[int, float]:
    """The shares in a text such as "1=0.2,2=0.3,3=0.5", made to sum to exactly 1.

    Raises:
        ValueError: if the text is of another form, or the shares do not sum to 1.
    """
    found: dict[int, float] = {}
    for one in mix.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})\s*=\s*(\d+\.?\d*|\.\d+)\s*", one)
        if match is None or int(match[1]) in found:
            raise ValueError(
                'mix must be "", "train", "uniform" or shares as in "1=0.2,2=0.3,3=0.5", each'
                f' count once; got "{mix}"'
            )
        found[int(match[1])] = float(match[2])
    total = sum(found.values())
    if abs(total - 1) > SLACK + 1e-9:
        raise ValueError(f'the shares in mix must sum to 1, those of "{mix}" sum to {total:g}')
    return {count: share / total for count, share in found.items()}


def log_ratio(
    mix: str, train_counts: Mapping[int, int], *, max_count: int
) -> NDArray[np.float64] | None:
    """log(share in the mix / share in training) of each count, float64 (K,); None: as trained.

    A count without a share in the mix gets -inf.

    Args:
        mix: "" or "train" for the mix of the train fold, "uniform" for equal shares of every count
            it has, or shares as text; see `shares_of`.
        train_counts: photos of the train fold by true count.
        max_count: largest count the model can say; larger ones had no part in training.

    Raises:
        DataError: if the mix has a count that was not trained on.
        ValueError: if the text is of another form.
    """
    if mix in ("", "train"):
        return None
    seen = {c: photos for c, photos in train_counts.items() if photos > 0 and c <= max_count}
    total = sum(seen.values())
    target = {c: 1 / len(seen) for c in seen} if mix == "uniform" else shares_of(mix)
    found = np.full(max_count + 1, -np.inf)
    for count, share in target.items():
        if not share:
            continue
        if count not in seen:
            raise DataError(
                f"evaluate.mix has a share of count {count}, which the model was not trained on"
                f" (trained and judged: {', '.join(map(str, sorted(seen))) or 'none'})"
            )
        found[count] = math.log(share) - math.log(seen[count] / total)
    return found


def corrected(log_probs: NDArray[Any], ratio: NDArray[np.float64] | None) -> NDArray[Any]:
    """log_probs (N, K) of the same dtype under the other mix; `ratio` is that of `log_ratio`."""
    if ratio is None:
        return log_probs
    moved = np.asarray(log_probs, dtype=np.float64) + ratio  # (N, K)
    moved -= np.logaddexp.reduce(moved, axis=1, keepdims=True)
    return moved.astype(log_probs.dtype)


def limited(log_probs: NDArray[Any], counts: Collection[int]) -> NDArray[Any]:
    """log_probs (N, K) of the same dtype, given that the count is one of `counts`.

    Raises:
        DataError: if the model can say none of them.
    """
    said = [count for count in sorted(counts) if count < log_probs.shape[1]]
    if not said:
        raise DataError(
            f"the model says counts 0 to {log_probs.shape[1] - 1}, none of those in evaluate.counts"
        )
    ratio = np.full(log_probs.shape[1], -np.inf)
    ratio[said] = 0.0
    return corrected(log_probs, ratio)
