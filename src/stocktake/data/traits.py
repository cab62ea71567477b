"""Traits: what photos differ in beside their count, as numbers by which a fold can be sliced."""

from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stocktake.data.looks import look_at
from stocktake.data.products import Items
from stocktake.data.siblings import series_of
from stocktake.errors import DataError

if TYPE_CHECKING:
    from stocktake.store.shards import PhotoShards


@dataclass(frozen=True, kw_only=True, slots=True)
class Traits:
    """Of N photos, each float64 (N,); nan where it is not known."""

    sharpness: NDArray[np.float64]
    """Variance of the Laplacian, as in `looks.Look`; low for a blurred photo."""
    luma: NDArray[np.float64]
    """Mean luma, 0 black to 1 white."""
    products: NDArray[np.float64]
    """Different products in the bin."""
    item_volume_in3: NDArray[np.float64]
    """Median volume of one piece, cubic inches, over the pieces whose sizes are on record."""
    number: NDArray[np.float64]
    """The number in the photo's id."""


def of_photos(
    shards: "PhotoShards",
    photo_ids: Sequence[str],
    *,
    workers: int,
    on_look: Callable[[int], None] = lambda done: None,
) -> Traits:
    """The traits of these photos, in their order; each is decoded once, small.

    Args:
        shards: the photos.
        photo_ids: N ids.
        workers: threads: decoding lets go of Python's lock.
        on_look: told how many photos were looked at.

    Raises:
        DataError: if an id is not among the photos.
    """
    rows = _rows_of(shards, photo_ids)
    looks = np.full((len(photo_ids), 2), np.nan)

    def look(photo_id: str) -> tuple[float, float]:
        try:
            found = look_at(photo_id, shards.jpegs([photo_id])[0], pixels=0, seed=0)
        except DataError:  # damaged since it was taken: explore and ingest tell of it
            return np.nan, np.nan
        return found.sharpness, found.luma

    with ThreadPoolExecutor(workers, thread_name_prefix="look") as pool:
        for place, found in enumerate(pool.map(look, photo_ids)):
            looks[place] = found
            on_look(place + 1)
    items = Items.of(rows)
    known = items.is_known
    return Traits(
        sharpness=looks[:, 0],
        luma=looks[:, 1],
        products=np.where(known, items.products.astype(np.float64), np.nan),
        item_volume_in3=_median_volumes(items),
        number=np.array([_number(photo_id) for photo_id in photo_ids], dtype=np.float64),
    )


def _rows_of(shards: "PhotoShards", photo_ids: Sequence[str]) -> pa.Table:
    """photo_id, count and items of these photos, in their order."""
    rows = shards.rows().select(["photo_id", "count", "items"])
    places = pc.index_in(pa.array(photo_ids, pa.string()), rows["photo_id"].combine_chunks())
    if places.null_count:
        missing = photo_ids[pc.is_null(places).index(True).as_py()]
        raise DataError(
            f"{places.null_count} of {len(photo_ids)} scored photos are not among the photos, the"
            f" first is {missing}; take the photos they were scored from, or score again"
        )
    return rows.take(places)


def _median_volumes(items: Items) -> NDArray[np.float64]:
    """float64 (N,), the median piece of each photo; the lower of two in the middle."""
    found = np.full(len(items.counts), np.nan)
    has_size = ~np.isnan(items.volume_in3) & (items.quantity > 0)
    place, volume = items.place[has_size], items.volume_in3[has_size]
    pieces = items.quantity[has_size]
    order = np.lexsort((volume, place))
    place, volume, pieces = place[order], volume[order], pieces[order]
    for photo, start, end in _runs(place):
        gathered = pieces[start:end].cumsum()
        found[photo] = volume[start:end][np.searchsorted(gathered, gathered[-1] / 2)]
    return found


def _runs(places: NDArray[np.int64]) -> list[tuple[int, int, int]]:
    """(value, start, end) of every run of equal values in a sorted array."""
    values, starts = np.unique(places, return_index=True)
    ends = np.append(starts, len(places))[1:]
    return list(zip(values.tolist(), starts.tolist(), ends.tolist(), strict=True))


def _number(photo_id: str) -> float:
    found = series_of(photo_id)
    return np.nan if found is None else float(found[1])
