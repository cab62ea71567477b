"""Folds: every photo gets one; sibling groups stay whole, and placed photos where they are."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from stocktake.data import dealing, siblings
from stocktake.errors import DataError
from stocktake.schema import splits

KINDS = ("siblings", "balanced", "random")
"""siblings: whole groups, by a hash of each; balanced: whole groups, dealt until every fold has its
share of every count; random: photo by photo, whatever its siblings."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Folds:
    """Photos with a fold each, and what stood in the way."""

    split: pa.Table
    """split/1, sorted by photo_id."""
    pairs: list[tuple[int, int]]
    """Siblings: places of two rows of `split`, the lower id first."""
    kept: int = 0
    """Photos that an earlier split had placed; they lie where it had them."""
    torn: tuple[str, ...] = ()
    """Sibling groups in two folds because an earlier split had placed their photos so."""


def assign(
    rows: pa.Table,
    *,
    shares: Mapping[str, float],
    seed: int,
    kind: str = "siblings",
    kept: Mapping[str, str] | None = None,
    newcomers: str = "",
) -> Folds:
    """A fold for every photo; the same whatever the order of rows.

    Args:
        rows: photo_id, count and items of N photos.
        shares: share of photos of every fold, train first; they sum to 1.
        seed: of the assignment.
        kind: one of KINDS.
        kept: fold by photo_id of an earlier split. None of its photos moves, and a group goes where
            its placed photos are, most of them if they differ.
        newcomers: fold of all groups that `kept` has no photo of; "" deals them out by the shares.

    Raises:
        DataError: if a fold would be empty.
    """
    rows = rows.sort_by("photo_id")
    found = siblings.find(rows)
    photo_ids: list[str] = rows["photo_id"].to_pylist()
    placed = [(kept or {}).get(photo_id, "") for photo_id in photo_ids]
    units = photo_ids if kind == "random" else found.groups
    counts = rows["count"].to_numpy().astype(np.int64)
    if kind == "balanced":
        fold_of = dealing.by_count(units, counts, shares=shares, seed=seed, placed=placed)
    else:
        firsts = _firsts(units, photo_ids)
        dealt = dealing.by_hash(firsts.values(), shares=shares, seed=seed)
        fold_of = {unit: dealt[first] for unit, first in firsts.items()}
    if newcomers:
        fold_of = dict.fromkeys(units, newcomers)
    fold_of |= _most(units, placed)
    split = pa.Table.from_pydict(
        {
            "photo_id": photo_ids,
            "fold": [fold or fold_of[unit] for fold, unit in zip(placed, units, strict=True)],
            "group": found.groups,
            "count": rows["count"],
        },
        schema=splits.SCHEMA,
    )
    _check_none_is_empty(split, shares, kind)
    torn = () if kind == "random" else splits.torn(split)
    splits.check(split, whole=kind != "random" and not torn)
    return Folds(split=split, pairs=found.pairs, kept=sum(map(bool, placed)), torn=torn)


def tally(split: pa.Table) -> dict[str, dict[str, int]]:
    """For every fold the number of photos by count, counts as text in rising order."""
    found: dict[str, Counter[int]] = {name: Counter() for name in splits.FOLDS}
    for fold, count in zip(split["fold"].to_pylist(), split["count"].to_pylist(), strict=True):
        found[fold][count] += 1
    return {
        fold: {str(count): photos for count, photos in sorted(counts.items())}
        for fold, counts in found.items()
    }


def by_id(split: pa.Table) -> dict[str, str]:
    """Fold of every photo of a split by its photo_id."""
    return dict(zip(split["photo_id"].to_pylist(), split["fold"].to_pylist(), strict=True))


def moved(before: Mapping[str, str], now: Mapping[str, str]) -> int:
    """Photos that lie in another fold than before; those that came or went are none of them.

    Args:
        before: fold by photo_id of an earlier split.
        now: fold by photo_id of a later one.
    """
    return sum(before.get(photo_id, fold) != fold for photo_id, fold in now.items())


def _firsts(units: Sequence[str], photo_ids: Sequence[str]) -> dict[str, str]:
    """The photo with the lowest number in every unit: photos that come later do not change it.

    A group's own name will not do: it is its first id as text, and 100000 stands before 99999.
    """
    firsts: dict[str, tuple[int, str]] = {}
    for unit, photo_id in zip(units, photo_ids, strict=True):
        series = siblings.series_of(photo_id)
        this = (series[1] if series else 0, photo_id)
        firsts[unit] = min(firsts.get(unit, this), this)
    return {unit: photo_id for unit, (_, photo_id) in firsts.items()}


def _most(units: Sequence[str], placed: Sequence[str]) -> dict[str, str]:
    """The fold of every unit with a placed photo: where most of them lie, the first of equals."""
    found: dict[str, Counter[str]] = {}
    for unit, fold in zip(units, placed, strict=True):
        if fold:
            found.setdefault(unit, Counter())[fold] += 1
    return {unit: folds.most_common(1)[0][0] for unit, folds in found.items()}


def _check_none_is_empty(split: pa.Table, shares: Mapping[str, float], kind: str) -> None:
    taken = set(split["fold"].to_pylist())
    for name in shares:
        if name not in taken:
            advice = "" if kind == "balanced" else ", or set split.kind = balanced"
            raise DataError(
                f"the fold '{name}' would get none of {len(split)} photos in"
                f" {len(set(split['group'].to_pylist()))} sibling groups with a share of"
                f" {shares[name]:.2f}; take more photos or raise its share{advice}"
            )
