"""Facts: what a set of photos is like, in numbers: all that needs no pixels, and a sample."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stocktake.data import moves, products, siblings, suspects
from stocktake.data.summaries import measured, rounded
from stocktake.errors import DataError
from stocktake.schema.facts import FORMAT


def of_photos(
    rows: pa.Table,
    sizes_bytes: Sequence[int],
    *,
    bin_volume_in3: float = 0,
    twins: Sequence[Sequence[str]] = (),
) -> dict[str, Any]:
    """Everything that needs no pixels, as plain data for a JSON file.

    Args:
        rows: N photos, all columns of photos/1 but jpeg.
        sizes_bytes: sizes of the photos' files, as far as they could be read.
        bin_volume_in3: what a bin holds, cubic inches; 0 if that is not known.
        twins: groups of ids of equal photos.

    Raises:
        DataError: if there are no photos.
    """
    if not len(rows):
        raise DataError("there are no photos to say anything of; ingest some")
    counts = _ints(rows["count"])
    widths, heights = _ints(rows["width_px"]), _ints(rows["height_px"])
    items = products.Items.of(rows)
    found = siblings.find(rows)
    happened = moves.find(rows, found)
    of_items = products.of_items(items)
    fullness = products.fullness(items, bin_volume_in3=bin_volume_in3)
    return {
        "format": FORMAT,
        "photos": len(rows),
        "size_bytes": int(np.sum(sizes_bytes)),
        "counts": distribution(counts),
        "width_px": measured(widths),
        "height_px": measured(heights),
        "aspect": measured(widths / heights),
        "photo_bytes": measured(np.asarray(sizes_bytes)),
        **of_items,
        "fullness": fullness,
        "siblings": of_siblings(rows, found),
        "moves": moves.summary(happened),
        "suspects": suspects.find(of_items, fullness, happened, twins=_counted(rows, twins)),
    }


def _counted(rows: pa.Table, groups: Sequence[Sequence[str]]) -> list[dict[str, int]]:
    """The same groups, each with the counts of its photos by id."""
    wanted = {photo_id for group in groups for photo_id in group}
    pairs = zip(rows["photo_id"].to_pylist(), rows["count"].to_pylist(), strict=True)
    counts = {photo_id: count for photo_id, count in pairs if photo_id in wanted}
    return [{photo_id: counts[photo_id] for photo_id in group} for group in groups]


def distribution(counts: NDArray[np.int64]) -> dict[str, Any]:
    """How counts are spread: photos by count, and what a constant guess would score."""
    values, sizes = np.unique(counts, return_counts=True)
    commonest = int(values[sizes.argmax()])
    return {
        "photos_by_count": {
            str(value): size for value, size in zip(values.tolist(), sizes.tolist(), strict=True)
        },
        "mean": rounded(counts.mean()),
        "median": rounded(np.median(counts)),
        "min": int(counts.min()),
        "max": int(counts.max()),
        "commonest": commonest,
        "always_commonest_accuracy": rounded(sizes.max() / len(counts)),
        "always_commonest_rmse": rounded(np.sqrt(((counts - commonest) ** 2).mean())),
        "empty_bins": int((counts == 0).sum()),
    }


def of_siblings(rows: pa.Table, found: siblings.Siblings) -> dict[str, Any]:
    """How photos hang together, and what happened to the count between siblings."""
    sizes = Counter(Counter(found.groups).values())
    with_siblings = sum(size * groups for size, groups in sizes.items() if size > 1)
    changes = Counter(siblings.changes(rows, found.pairs))
    return {
        "groups": sum(sizes.values()),
        "groups_by_size": {str(size): groups for size, groups in sorted(sizes.items())},
        "photos_with_siblings": with_siblings,
        "share_with_siblings": rounded(with_siblings / len(rows)),
        "pairs": len(found.pairs),
        "pairs_by_change": {f"{change:+d}": pairs for change, pairs in sorted(changes.items())},
    }


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


def _ints(column: pa.ChunkedArray) -> NDArray[np.int64]:
    values: NDArray[np.int64] = column.to_numpy().astype(np.int64)
    return values
