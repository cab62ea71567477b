"""Moves: what happened in a bin between a photo and its next sibling."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from stocktake.data import siblings
from stocktake.data.summaries import SHOWN, rounded

KINDS = ("pick", "stow", "swap", "nothing", "unknown")
"""Items went; came; some went and others came; none did; the items are not on record."""
SINGLE_TO = 10
"""Changes of the count up to here are told one by one; larger ones are gathered."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Move:
    """What the records say of two photos of one bin, one after the other."""

    first: str
    second: str
    """Ids of the photos."""
    counts: tuple[int, int]
    """True count of the first and of the second."""
    kind: str
    """One of KINDS."""
    moved: int
    """Pieces that went or came."""
    in_common: int
    """Products that are in both."""
    apart: int
    """Difference of the ids."""

    def to_dict(self) -> dict[str, Any]:
        """The move as a row for people."""
        return {
            "first": self.first,
            "second": self.second,
            "from": self.counts[0],
            "to": self.counts[1],
            "kind": self.kind,
            "moved": self.moved,
        }


def find(rows: pa.Table, found: siblings.Siblings) -> list[Move]:
    """The moves between consecutive siblings: pairs with no other of their group between them.

    Args:
        rows: photo_id, count and items of N photos.
        found: their siblings.
    """
    paired = sorted({place for pair in found.pairs for place in pair})
    some = (
        rows.select(["photo_id", "count", "items"]).take(pa.array(paired, pa.int64())).to_pylist()
    )
    row_of = dict(zip(paired, some, strict=True))
    return [_move(row_of[one], row_of[other]) for one, other in _consecutive(found)]


def _consecutive(found: siblings.Siblings) -> Iterable[tuple[int, int]]:
    """Of every photo, the pair with its nearest following sibling."""
    following: set[int] = set()
    for one, other in found.pairs:  # pairs of one photo stand in rising order of the other
        if one not in following:
            following.add(one)
            yield one, other


def _move(one: Mapping[str, Any], other: Mapping[str, Any]) -> Move:
    before, after = _pieces(one), _pieces(other)
    gone = sum(max(n - after.get(asin, 0), 0) for asin, n in before.items())
    come = sum(max(n - before.get(asin, 0), 0) for asin, n in after.items())
    kind = {
        (True, False): "pick",
        (False, True): "stow",
        (True, True): "swap",
        (False, False): "nothing",
    }[gone > 0, come > 0]
    is_unknown = any(row["count"] and not row["items"] for row in (one, other))
    return Move(
        first=one["photo_id"],
        second=other["photo_id"],
        counts=(one["count"], other["count"]),
        kind="unknown" if is_unknown else kind,
        moved=gone + come,
        in_common=len(before.keys() & after.keys()),
        apart=_apart(one["photo_id"], other["photo_id"]),
    )


def _pieces(row: Mapping[str, Any]) -> dict[str, int]:
    return {item["asin"]: item["quantity"] for item in row["items"]}


def _apart(one: str, other: str) -> int:
    first, second = siblings.series_of(one), siblings.series_of(other)
    assert first and second, "siblings have numbers"
    return second[1] - first[1]


def summary(moves: Sequence[Move]) -> dict[str, Any]:
    """Kinds of moves, changes of the count and products in common, with the first of each kind."""
    apart = sorted({move.apart for move in moves})
    return {
        "pairs": len(moves),
        "kinds": {
            kind: {
                "pairs": sum(move.kind == kind for move in moves),
                "by_apart": {
                    str(n): sum(move.kind == kind and move.apart == n for move in moves)
                    for n in apart
                },
                "one_piece": sum(move.kind == kind and move.moved == 1 for move in moves),
                "shown": [move.to_dict() for move in moves if move.kind == kind][:SHOWN],
            }
            for kind in KINDS
        },
        "by_change": _by_change(moves),
        "products_in_common": _tally(move.in_common for move in moves if move.kind != "unknown"),
        "same_count": rounded(
            sum(move.counts[0] == move.counts[1] for move in moves) / max(len(moves), 1)
        ),
    }


def _by_change(moves: Sequence[Move]) -> dict[str, int]:
    """Pairs by change of the count, as in -2, -1, 0, +1, without gaps; SINGLE_TO gathers larger."""
    often = Counter(
        min(max(move.counts[1] - move.counts[0], -SINGLE_TO), SINGLE_TO) for move in moves
    )
    ends = {-SINGLE_TO: f"≤-{SINGLE_TO}", SINGLE_TO: f"≥+{SINGLE_TO}"}
    return {
        ends.get(change, f"{change:+d}" if change else "0"): often[change]
        for change in range(min(often, default=0), max(often, default=-1) + 1)
    }


def _tally(values: Iterable[int]) -> dict[str, int]:
    """How often each value occurs, without gaps; SINGLE_TO gathers larger ones."""
    often = Counter(min(value, SINGLE_TO) for value in values)
    return {
        f"{value}+" if value == SINGLE_TO else str(value): often[value]
        for value in range(min(often, default=0), max(often, default=-1) + 1)
    }
