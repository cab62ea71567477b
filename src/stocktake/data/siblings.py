"""Siblings: photos of one bin, moments apart; found by near ids and shared products.

The dataset photographs a bin before and after a pick. Of pairs one id apart 41 % share a product,
of pairs two apart 4 %, of pairs further apart none (627 consecutive records).
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stocktake.errors import DataError

NEAR = 2
"""Siblings have ids at most this far apart."""
PADDED_TO = 5
"""The bucket pads ids to five digits (00001 to 535234); shorter ones are a family of their own."""

_NUMBERED = re.compile(r"(?P<series>.*?)(?P<digits>[0-9]{1,18})", re.DOTALL)


@dataclass(frozen=True, kw_only=True, slots=True)
class Siblings:
    """Which photos belong together."""

    groups: list[str]
    """Group of every row: the first photo_id of its chain; a photo alone is its own group."""
    pairs: list[tuple[int, int]]
    """Places of two rows that are siblings, the lower id first."""


def find(rows: pa.Table) -> Siblings:
    """The sibling groups of photos: chains of pairs whose ids are near and who share a product.

    Where the items of either photo are unknown (none on record, yet a count above 0), nearness
    alone decides.

    Args:
        rows: photo_id, count and items of N photos, in any order.

    Raises:
        DataError: if an id is there twice.
    """
    photo_ids: list[str] = rows["photo_id"].to_pylist()
    if len(set(photo_ids)) < len(photo_ids):
        raise DataError(f"{len(photo_ids) - len(set(photo_ids))} photo ids are there twice")
    products = products_of(rows)
    pairs = []
    for one, other in near(photo_ids):
        mine, theirs = products[one], products[other]
        if mine is None or theirs is None or mine & theirs:
            pairs.append((one, other))
    return Siblings(groups=_chains(photo_ids, pairs), pairs=pairs)


def products_of(rows: pa.Table) -> list[frozenset[str] | None]:
    """The products in each bin by ASIN; None where they are unknown."""
    found: list[frozenset[str] | None] = []
    for count, items in zip(rows["count"].to_pylist(), rows["items"].to_pylist(), strict=True):
        is_unknown = count > 0 and not items
        found.append(None if is_unknown else frozenset(item["asin"] for item in items))
    return found


def series_of(photo_id: str) -> tuple[tuple[str, int], int] | None:
    """(series, number) of an id; ids of two series are never near. None: it has no number.

    A series is what stands before the digits, and the width they are padded to: `01044` belongs to
    the bucket's series as `105274` does, `1044` to the unpadded one.
    """
    match = _NUMBERED.fullmatch(photo_id)
    if match is None:
        return None
    digits = match["digits"]
    if digits[0] == "0" and len(digits) > 1:
        width = len(digits)
    else:
        width = PADDED_TO if len(digits) >= PADDED_TO else 0
    return (match["series"], width), int(digits)


def near(photo_ids: Sequence[str]) -> list[tuple[int, int]]:
    """Pairs of places whose ids are at most NEAR apart in one series."""
    numbered = []
    for place, photo_id in enumerate(photo_ids):
        found = series_of(photo_id)
        if found is not None:
            numbered.append((*found, place))
    numbered.sort()
    pairs = []
    for i, (series, number, place) in enumerate(numbered):
        for next_series, next_number, next_place in numbered[i + 1 : i + 1 + NEAR]:
            if next_series == series and next_number - number <= NEAR:
                pairs.append((place, next_place))
    return pairs


def _chains(photo_ids: Sequence[str], pairs: Sequence[tuple[int, int]]) -> list[str]:
    """Group of every place: the first id among all that pairs connect it with."""
    above = list(range(len(photo_ids)))

    def top(place: int) -> int:
        while above[place] != place:
            above[place] = above[above[place]]
            place = above[place]
        return place

    for one, other in pairs:
        first, second = sorted((top(one), top(other)), key=lambda place: photo_ids[place])
        above[second] = first
    return [photo_ids[top(place)] for place in range(len(photo_ids))]


def changes(rows: pa.Table, pairs: Sequence[tuple[int, int]]) -> list[int]:
    """What happened to the count from the lower id to the higher, per sibling pair."""
    counts: list[Any] = rows["count"].to_pylist()
    return [counts[other] - counts[one] for one, other in pairs]
