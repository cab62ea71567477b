"""Products: what the records say of the items in the bins, how many, how large, how heavy."""

from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stocktake.data.summaries import SHOWN, listed, measured, rounded, upper_fence, whole

SIZES = ("height_in", "length_in", "width_in")
MEASURES = (*SIZES, "weight_lb")


@dataclass(frozen=True)
class Items:
    """The items of N photos as columns, one row per product in a bin, I in all."""

    photo_ids: list[str]
    counts: NDArray[np.int64]
    """int64 (N,), true counts."""
    place: NDArray[np.int64]
    """int64 (I,), row of the photo an item is in, rising."""
    columns: pa.StructArray
    """The items as photos/1 has them, (I,)."""

    @classmethod
    def of(cls, rows: pa.Table) -> "Items":
        """The items of all photos; rows have photo_id, count and items."""
        items = rows["items"].combine_chunks()
        if isinstance(items, pa.ChunkedArray):  # no rows, so no chunk
            items = pa.array([], rows.schema.field("items").type)
        return cls(
            photo_ids=rows["photo_id"].to_pylist(),
            counts=rows["count"].to_numpy().astype(np.int64),
            place=pc.list_parent_indices(items).to_numpy().astype(np.int64),
            columns=pc.list_flatten(items),
        )

    @cached_property
    def quantity(self) -> NDArray[np.int64]:
        """int64 (I,), how many of the product lie in the bin."""
        found = pc.fill_null(pc.struct_field(self.columns, "quantity"), 0)
        return np.asarray(found).astype(np.int64)

    def measure(self, column: str) -> NDArray[np.float64]:
        """float64 (I,), a size or weight; nan where the record has none."""
        found = pc.struct_field(self.columns, column).to_numpy(zero_copy_only=False)
        values: NDArray[np.float64] = found.astype(np.float64)
        return values

    @cached_property
    def volume_in3(self) -> NDArray[np.float64]:
        """float64 (I,), volume of one piece by its sizes; nan where one is missing or 0."""
        made = np.prod([self.measure(column) for column in SIZES], axis=0)
        return np.where(made > 0, made, np.nan)

    @cached_property
    def sums(self) -> NDArray[np.int64]:
        """int64 (N,), pieces in each bin as its items say."""
        return self.by_photo(self.quantity).astype(np.int64)

    @cached_property
    def products(self) -> NDArray[np.int64]:
        """int64 (N,), different products in each bin."""
        return np.bincount(self.place, minlength=len(self.counts))

    @cached_property
    def is_known(self) -> NDArray[np.bool_]:
        """bool (N,), whether a bin's items are on record; those of an empty bin are."""
        return (self.products > 0) | (self.counts == 0)

    def by_photo(self, values: NDArray[Any]) -> NDArray[np.float64]:
        """float64 (N,), sum over the items of each photo; nan where one of them is."""
        sums = np.bincount(self.place, weights=values, minlength=len(self.counts))
        return sums.astype(np.float64)


def of_items(items: Items) -> dict[str, Any]:
    """How many items and products, of what size, and where items do not sum up to the count."""
    known = items.is_known
    differing = np.flatnonzero(known & (items.sums != items.counts))
    held = items.products > 0
    volume = items.by_photo(items.volume_in3 * items.quantity)[held]
    weight = items.by_photo(items.measure("weight_lb") * items.quantity)[held]
    return {
        "items_per_photo": whole(items.sums[known]),
        "products_per_photo": whole(items.products[known]),
        "quantity_per_product": whole(items.quantity),
        "products": pc.count_distinct(pc.struct_field(items.columns, "asin")).as_py(),
        "sizes": {column: _with_missing(items.measure(column)) for column in MEASURES},
        "volume_in3": _with_missing(items.volume_in3),
        "volume_in3_per_photo": _with_missing(volume),
        "weight_lb_per_photo": _with_missing(weight),
        "unknown_items": listed([items.photo_ids[i] for i in np.flatnonzero(~known)]),
        "differing_sums": listed(
            [
                {
                    "photo_id": items.photo_ids[i],
                    "count": int(items.counts[i]),
                    "items": int(items.sums[i]),
                }
                for i in differing
            ]
        ),
    }


def fullness(items: Items, *, bin_volume_in3: float = 0) -> dict[str, Any]:
    """Empty, crowded and over-full bins.

    The size of a bin is not on record. Where it is not given either, a bin is crowded or over-full
    by the measure of the others: above the upper fence of their counts, or of their items' volumes.

    Args:
        items: of all photos.
        bin_volume_in3: what a bin holds, cubic inches; 0 if that is not known.
    """
    volumes = items.by_photo(items.volume_in3 * items.quantity)  # (N,), nan where unknown
    there = volumes[(items.products > 0) & ~np.isnan(volumes)]
    most_items = upper_fence(items.counts)
    most_in3 = bin_volume_in3 or upper_fence(there)
    crowded = _above(items.counts.astype(np.float64), most_items)
    full = _above(volumes, most_in3)
    return {
        "empty": listed([items.photo_ids[i] for i in np.flatnonzero(items.counts == 0)]),
        "crowded": {
            "over": most_items,
            **listed([_told(items, i, volumes) for i in crowded]),
        },
        "over_full": {
            "over_in3": most_in3,
            "is_given": bin_volume_in3 > 0,
            **listed([_told(items, i, volumes) for i in full]),
        },
        "fullest": [_told(items, i, volumes) for i in _above(volumes, 0)[:SHOWN]],
    }


def _above(values: NDArray[np.float64], limit: float | None) -> NDArray[np.int64]:
    """Places of values above a limit, the largest first; none where there is no limit."""
    if limit is None:
        return np.empty(0, np.int64)
    order = np.argsort(-np.nan_to_num(values, nan=-np.inf), kind="stable")
    found: NDArray[np.int64] = order[np.nan_to_num(values[order], nan=-np.inf) > limit]
    return found


def _told(items: Items, place: int, volumes: NDArray[np.float64]) -> dict[str, Any]:
    volume = None if np.isnan(volumes[place]) else rounded(volumes[place])
    return {
        "photo_id": items.photo_ids[place],
        "count": int(items.counts[place]),
        "volume_in3": volume,
    }


def _with_missing(values: NDArray[np.float64]) -> dict[str, Any]:
    """Summary of a size or weight, with the number of those that have none."""
    there = values[~np.isnan(values)]
    return {**measured(there, has_tail=True), "missing": len(values) - len(there)}
