"""Suspects: photos whose true count, as the record has it, is worth a second look."""

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from stocktake.data.moves import Move
from stocktake.data.summaries import SHOWN

REASONS = ("sum-differs", "cannot-fit", "items-moved", "count-moved", "twins-differ")
"""The items do not sum up to the count; they are too large for a bin; siblings' items changed and
their count did not, or the reverse; equal photos have different counts."""


def find(
    items: Mapping[str, Any],
    fullness: Mapping[str, Any],
    moves: Sequence[Move],
    *,
    twins: Sequence[Mapping[str, int]] = (),
) -> dict[str, Any]:
    """Suspicious labels with a reason each.

    Args:
        items: what `products.of_items` says.
        fullness: what `products.fullness` says.
        moves: between siblings.
        twins: counts by photo id of every group of equal photos.

    Returns:
        cases, by_reason, and the first SHOWN of every reason: reason, photo_ids, told.
    """
    differing, full = items["differing_sums"], fullness["over_full"]
    rows = [
        *(_row("sum-differs", [one["photo_id"]], _sum(one)) for one in differing["shown"]),
        *(_row("cannot-fit", [one["photo_id"]], _volume(one, full)) for one in full["shown"]),
        *(_of_move(move) for move in moves if _contradicts(move)),
        *(_row("twins-differ", list(group), _twins(group)) for group in twins if _differ(group)),
    ]
    by_reason = Counter(row["reason"] for row in rows)
    by_reason["sum-differs"] = differing["photos"]  # its list is cut already
    by_reason["cannot-fit"] = full["photos"]
    return {
        "cases": by_reason.total(),
        "by_reason": {reason: by_reason[reason] for reason in REASONS},
        "shown": [
            row for reason in REASONS for row in [r for r in rows if r["reason"] == reason][:SHOWN]
        ],
    }


def _contradicts(move: Move) -> bool:
    """Whether items and count tell different stories of what happened."""
    if move.kind == "unknown":
        return False
    return (move.counts[0] == move.counts[1]) != (move.kind == "nothing")


def _differ(group: Mapping[str, int]) -> bool:
    return len(set(group.values())) > 1


def _row(reason: str, photo_ids: list[str], told: str) -> dict[str, Any]:
    return {"reason": reason, "photo_ids": photo_ids, "told": told}


def _sum(one: Mapping[str, Any]) -> str:
    return f"count {one['count']}, its items sum up to {one['items']}"


def _volume(one: Mapping[str, Any], full: Mapping[str, Any]) -> str:
    than = "is what a bin holds" if full["is_given"] else "is the upper fence of these bins"
    return (
        f"count {one['count']}, items of {one['volume_in3']:,.0f} cubic inches;"
        f" {full['over_in3']:,.0f} {than}"
    )


def _of_move(move: Move) -> dict[str, Any]:
    first, second = move.counts
    if first == second:
        told = f"count {first} on both, yet {move.moved} pieces went or came"
        return _row("items-moved", [move.first, move.second], told)
    told = f"count {first}, then {second}, with the same items"
    return _row("count-moved", [move.first, move.second], told)


def _twins(group: Mapping[str, int]) -> str:
    return f"equal photos, counts {', '.join(str(count) for count in group.values())}"
