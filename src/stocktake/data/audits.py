"""Audits: what leaks in a split, beside what would in random ones of the same shares."""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from stocktake.data import dealing, leaks
from stocktake.data.folds import Folds
from stocktake.measure import bootstrap, metrics

FORMAT = "audit/1"
DRAWS, RESAMPLES = 10, 1000
"""Random splits that are averaged over; resamples behind the intervals."""
PAIRS_SHOWN = 20


def of_split(made: Folds, *, kind: str, shares: Mapping[str, float], seed: int) -> dict[str, Any]:
    """audit/1 of a split, as plain data for a JSON file.

    Args:
        made: photos with their folds.
        kind: how the folds were assigned.
        shares: share of photos of every fold, which the random splits have too.
        seed: of the split, and of the first random one.

    Raises:
        DataError: if train or test is empty.
    """
    photo_ids = made.split["photo_id"].to_pylist()
    groups = made.split["group"].to_numpy()
    fold = made.split["fold"].to_numpy()
    neighbours = leaks.Neighbours(made.split, made.pairs)
    this = [neighbours.audit(fold)]
    draws = _draws(neighbours, photo_ids, shares=shares, seed=seed)
    pairs = neighbours.across(fold)
    return {
        "format": FORMAT,
        "kind": kind,
        "seed": seed,
        "siblings": {"pairs": len(made.pairs)},
        "pairs_across": {
            "pairs": len(pairs),
            "torn_groups": len(made.torn),
            "shown": [
                {"photos": [photo_ids[i] for i in pair], "folds": [fold[i] for i in pair]}
                for pair in pairs[:PAIRS_SHOWN].tolist()
            ],
        },
        "this": _figures(this, neighbours.counts, groups, seed=seed),
        "random": {
            "seeds": list(draws),
            **_figures(list(draws.values()), neighbours.counts, groups, seed=seed),
        }
        if draws
        else None,
    }


def _draws(
    neighbours: leaks.Neighbours,
    photo_ids: Sequence[str],
    *,
    shares: Mapping[str, float],
    seed: int,
) -> dict[int, leaks.Audit]:
    """Audits of random splits by their seed; of few photos a draw may have no test fold."""
    draws = {}
    for one in range(seed, seed + DRAWS):
        dealt = dealing.by_hash(photo_ids, shares=shares, seed=one)
        drawn = np.array([dealt[photo_id] for photo_id in photo_ids])
        if {"train", "test"} <= set(drawn.tolist()):
            draws[one] = neighbours.audit(drawn)
    return draws


def _figures(
    audits: Sequence[leaks.Audit], counts: NDArray[np.int64], groups: NDArray[Any], *, seed: int
) -> dict[str, Any]:
    """Shares over some splits, and each rule's figures on the test photos of all of them.

    A photo in the test fold of several splits counts in each; the intervals resample its sibling
    group with all of that, so they are of the mean over splits.
    """
    photos = np.concatenate([one.photos for one in audits])
    leaked = np.concatenate([one.has_sibling for one in audits])
    said = {name: np.concatenate([one.said[name] for one in audits]) for name in leaks.RULES}
    rules: dict[str, dict[str, Any]] = {
        name: {"about": about} for name, about in leaks.RULES.items()
    }
    found = bootstrap.estimates(
        _statistics(said, counts[photos]), groups[photos], resamples=RESAMPLES, seed=seed
    )
    for (name, figure), estimate in found.items():
        rules[name][figure] = msgspec.to_builtins(estimate)
    for name in rules if leaked.any() else ():
        those = photos[leaked]
        statistic = {name: metrics.correct(said[name][leaked], counts[those])}
        there = bootstrap.estimates(statistic, groups[those], resamples=RESAMPLES, seed=seed)
        rules[name]["accuracy_of_leaked"] = msgspec.to_builtins(there[name])
    return {
        "test_photos": len(photos) / len(audits),
        "leaked": _spread([one.has_sibling.mean() for one in audits]),
        "near": _spread([one.has_neighbour.mean() for one in audits]),
        "steps": [one.step for one in audits],
        "rules": rules,
    }


def _statistics(
    said: Mapping[str, NDArray[np.int64]], truth: NDArray[np.int64]
) -> dict[tuple[str, str], metrics.Statistic]:
    """accuracy, gain over the majority, and rmse of every rule's answers."""
    always = (said["majority"] == truth).astype(np.float64)
    found = {}
    for name, answers in said.items():
        found[name, "accuracy"] = metrics.correct(answers, truth)
        found[name, "gain"] = metrics.mean_of((answers == truth) - always)
        found[name, "rmse"] = metrics.squared(answers, truth)
    return found


def _spread(shares: Sequence[float]) -> dict[str, float]:
    mean = sum(shares) / len(shares)
    return {"mean": float(mean), "least": float(min(shares)), "most": float(max(shares))}
