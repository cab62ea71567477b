"""Leaks: test photos with a sibling in train, and what rules score that look at ids, not photos.

A split that lets siblings part tells the test fold's counts to whoever remembers the neighbours:
they are the same bin a moment before or after, mostly one thing apart.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stocktake.data import siblings
from stocktake.errors import DataError

RULES = {
    "majority": "always the commonest count of train",
    "neighbour": "the count of the nearest train photo by id, at most 2 away",
    "step": "that count, one up or down in the order of ids",
}
"""Answers without a photo. Where no train photo is near, and where the answer is a count that train
does not have, the majority answers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Audit:
    """What the test fold of one split can be told from train without looking at a photo."""

    photos: NDArray[np.int64]
    """Places of the test photos, (T,)."""
    has_sibling: NDArray[np.bool_]
    """Which of them have a sibling in train, (T,)."""
    has_neighbour: NDArray[np.bool_]
    """Which of them have a train photo near by id, sibling or not, (T,)."""
    step: int
    """What the step rule adds on the way to higher ids, +1 or -1: what fits train better."""
    said: dict[str, NDArray[np.int64]]
    """Each rule's answer for every test photo, (T,)."""


class Neighbours:
    """Photos with an id, a count and siblings, to audit splits of."""

    def __init__(self, rows: pa.Table, pairs: Sequence[tuple[int, int]]) -> None:
        """Take photo_id and count of N photos; `pairs` are places of siblings."""
        photo_ids: list[str] = rows["photo_id"].to_pylist()
        self.counts: NDArray[np.int64] = rows["count"].to_numpy().astype(np.int64)
        self._siblings = np.array(pairs, dtype=np.int64).reshape(-1, 2)
        near = np.array(siblings.near(photo_ids), dtype=np.int64).reshape(-1, 2)
        series = [siblings.series_of(photo_id) for photo_id in photo_ids]
        number = np.array([one[1] if one else 0 for one in series], dtype=np.int64)
        gap = number[near[:, 1]] - number[near[:, 0]]
        # Each pair both ways, the best last: the closest, of equally close ones the lower id.
        self._of = np.concatenate([near[:, 0], near[:, 1]])
        self._other = np.concatenate([near[:, 1], near[:, 0]])
        self._way = np.repeat([-1, 1], len(near))  # 1: the other has the lower id
        order = np.lexsort([self._way, -np.concatenate([gap, gap])])
        self._of, self._other, self._way = (
            values[order] for values in (self._of, self._other, self._way)
        )

    def across(self, folds: NDArray[Any]) -> NDArray[np.int64]:
        """Sibling pairs whose photos lie in two folds, int64 (P, 2)."""
        one, other = self._siblings[:, 0], self._siblings[:, 1]
        return self._siblings[folds[one] != folds[other]]

    def audit(self, folds: NDArray[Any]) -> Audit:
        """What a split tells of its test fold.

        Args:
            folds: fold of every photo, (N,).

        Raises:
            DataError: if train or test is empty.
        """
        is_train = folds == "train"
        photos = np.flatnonzero(folds == "test")
        if not is_train.any() or not len(photos):
            raise DataError("a split without train or test photos has nothing to audit")
        leaked = np.zeros(len(folds), dtype=bool)
        for mine, theirs in (self._siblings.T, self._siblings.T[::-1]):
            leaked[mine[is_train[theirs]]] = True
        nearest, way = self._nearest(is_train)
        seen, amounts = np.unique(self.counts[is_train], return_counts=True)
        majority = seen[amounts.argmax()]  # the smallest of equals
        has_one = nearest >= 0
        theirs = np.where(has_one, self.counts[nearest], majority)
        step = self._step(is_train & has_one, theirs, way)
        stepped = theirs + step * way
        stepped = np.where(has_one & np.isin(stepped, seen), stepped, majority)
        said = {
            "majority": np.full(len(photos), majority),
            "neighbour": theirs[photos],
            "step": stepped[photos],
        }
        return Audit(
            photos=photos,
            has_sibling=leaked[photos],
            has_neighbour=has_one[photos],
            step=step,
            said=said,
        )

    def _nearest(self, is_train: NDArray[np.bool_]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Of every photo the nearest other photo in train, -1 for none; and which way it lies."""
        nearest = np.full(len(is_train), -1, dtype=np.int64)
        way = np.zeros(len(is_train), dtype=np.int64)
        there = is_train[self._other]
        nearest[self._of[there]] = self._other[there]  # of several the last stays
        way[self._of[there]] = self._way[there]
        return nearest, way

    def _step(
        self, those: NDArray[np.bool_], theirs: NDArray[np.int64], way: NDArray[np.int64]
    ) -> int:
        """+1 or -1: how photos of train more often differ from the one before; -1 of equals."""
        change = ((self.counts - theirs) * way)[those]
        return 1 if (change == 1).sum() > (change == -1).sum() else -1
