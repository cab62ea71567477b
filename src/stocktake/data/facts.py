"""Facts: what a set of photos is like, in numbers, from its rows alone."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stocktake.data import siblings
from stocktake.errors import DataError

FORMAT = "facts/1"
BINS = 20
"""Bars of a histogram of something measured; whole numbers below 30 get one each."""
SHOWN = 100
"""Photo ids listed at most; the number beside them is of all."""


def of_photos(rows: pa.Table, sizes_bytes: Sequence[int]) -> dict[str, Any]:
    """Everything that needs no pixels, as plain data for a JSON file.

    Args:
        rows: N photos, all columns of photos/1 but jpeg.
        sizes_bytes: size of each photo's file, row for row.

    Raises:
        DataError: if there are no photos.
    """
    if not len(rows):
        raise DataError("there are no photos to say anything of; ingest some")
    counts = _ints(rows["count"])
    widths, heights = _ints(rows["width_px"]), _ints(rows["height_px"])
    return {
        "format": FORMAT,
        "photos": len(rows),
        "size_bytes": int(np.sum(sizes_bytes)),
        "counts": distribution(counts),
        "width_px": measured(widths),
        "height_px": measured(heights),
        "aspect": measured(widths / heights),
        "photo_bytes": measured(np.asarray(sizes_bytes)),
        **of_items(rows),
        "siblings": of_siblings(rows),
    }


def distribution(counts: NDArray[np.int64]) -> dict[str, Any]:
    """How counts are spread: photos by count, and what a constant guess would score."""
    values, sizes = np.unique(counts, return_counts=True)
    commonest = int(values[sizes.argmax()])
    return {
        "photos_by_count": {
            str(value): size for value, size in zip(values.tolist(), sizes.tolist(), strict=True)
        },
        "mean": _round(counts.mean()),
        "median": _round(np.median(counts)),
        "min": int(counts.min()),
        "max": int(counts.max()),
        "commonest": commonest,
        "always_commonest_accuracy": _round(sizes.max() / len(counts)),
        "always_commonest_rmse": _round(np.sqrt(((counts - commonest) ** 2).mean())),
        "empty_bins": int((counts == 0).sum()),
    }


def of_items(rows: pa.Table) -> dict[str, Any]:
    """What the records say of the items: how many, how large, and where they contradict."""
    photo_ids = rows["photo_id"].to_pylist()
    counts = rows["count"].to_pylist()
    items: list[list[dict[str, Any]]] = rows["items"].to_pylist()
    known = [i for i, held in enumerate(items) if held or not counts[i]]
    each = [item for held in items for item in held]
    differing = [
        {"photo_id": photo_ids[i], "count": counts[i], "items": total}
        for i in known
        if (total := sum(item["quantity"] for item in items[i])) != counts[i]
    ]
    return {
        "items_per_photo": whole([sum(item["quantity"] for item in items[i]) for i in known]),
        "products_per_photo": whole([len(items[i]) for i in known]),
        "quantity_per_product": whole([item["quantity"] for item in each]),
        "products": len({item["asin"] for item in each}),
        "sizes": {
            column: of_measure([item[column] for item in each])
            for column in ("height_in", "length_in", "width_in", "weight_lb")
        },
        "unknown_items": _listed(
            [photo_ids[i] for i in sorted(set(range(len(items))) - set(known))]
        ),
        "differing_sums": {"photos": len(differing), "shown": differing[:SHOWN]},
    }


def of_siblings(rows: pa.Table) -> dict[str, Any]:
    """How photos hang together, and what happened to the count between siblings."""
    found = siblings.find(rows)
    sizes = Counter(Counter(found.groups).values())
    with_siblings = sum(size * groups for size, groups in sizes.items() if size > 1)
    changes = Counter(siblings.changes(rows, found.pairs))
    return {
        "groups": sum(sizes.values()),
        "groups_by_size": {str(size): groups for size, groups in sorted(sizes.items())},
        "photos_with_siblings": with_siblings,
        "share_with_siblings": _round(with_siblings / len(rows)),
        "pairs": len(found.pairs),
        "pairs_by_change": {f"{change:+d}": pairs for change, pairs in sorted(changes.items())},
    }


def measured(values: NDArray[Any]) -> dict[str, Any]:
    """Summary and histogram of something measured; the histogram has BINS equal bars."""
    if not len(values):
        return {"n": 0}
    low, middle, high = np.percentile(values, [5, 50, 95])
    photos, edges = np.histogram(values, bins=BINS)
    return {
        "n": len(values),
        "min": _round(values.min()),
        "p5": _round(low),
        "median": _round(middle),
        "mean": _round(values.mean()),
        "p95": _round(high),
        "max": _round(values.max()),
        "histogram": {"edges": [_round(edge) for edge in edges], "photos": photos.tolist()},
    }


def of_measure(values: Sequence[float | None]) -> dict[str, Any]:
    """Summary of a size or weight, with the number of products that have none."""
    there = np.array([value for value in values if value is not None], dtype=np.float64)
    return {**measured(there), "missing": len(values) - len(there)}


def whole(values: Sequence[int]) -> dict[str, Any]:
    """Summary of whole numbers, with how often each occurs; large ones are gathered."""
    if not values:
        return {"n": 0}
    found = np.asarray(values)
    often = Counter(min(value, SINGLE_TO) for value in found.tolist())
    times = {
        f"{value}+" if value == SINGLE_TO else str(value): n for value, n in sorted(often.items())
    }
    return {
        "n": len(found),
        "min": int(found.min()),
        "median": _round(np.median(found)),
        "mean": _round(found.mean()),
        "max": int(found.max()),
        "times": times,
    }


SINGLE_TO = 30


def sample(rows: pa.Table, *, per_count: int, seed: int) -> dict[int, list[str]]:
    """Photo ids by count: at random up to `per_count` of each, in rising order of id.

    Args:
        rows: photo_id and count of N photos.
        per_count: ids of every count at most.
        seed: of the choice.
    """
    by_count: dict[int, list[str]] = {}
    for photo_id, count in zip(
        rows["photo_id"].to_pylist(), rows["count"].to_pylist(), strict=True
    ):
        by_count.setdefault(count, []).append(photo_id)
    chosen = {}
    for count, photo_ids in sorted(by_count.items()):
        rng = np.random.default_rng([seed, count])
        places = rng.permutation(len(photo_ids))[:per_count]
        chosen[count] = sorted(sorted(photo_ids)[place] for place in places)
    return chosen


def _listed(photo_ids: list[str]) -> dict[str, Any]:
    return {"photos": len(photo_ids), "shown": photo_ids[:SHOWN]}


def _ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    values: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return values


def _round(value: Any) -> float:
    return round(float(value), 4)
