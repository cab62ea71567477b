"""Rows of photos as the shards give them."""

from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pytest

from stocktake.schema import photos as schema


def row(photo_id: str, count: int, quantities: dict[str, int], **more: Any) -> dict[str, Any]:
    sizes = {key: more.pop(key) for key in ("height_in", "length_in", "weight_lb") if key in more}
    items = [
        {"asin": asin, "quantity": n, "width_in": 2.0, **sizes} for asin, n in quantities.items()
    ]
    made: dict[str, Any] = {"photo_id": photo_id, "count": count, "items": items}
    made |= {"width_px": 400, "height_px": 200, "source": "k", "jpeg": b""}
    return made | {"sha256": f"of {photo_id}"} | more


@pytest.fixture(scope="session")
def photo_row() -> Callable[..., dict[str, Any]]:
    """Makes one row: id, count, quantities by ASIN; sizes of every item and any column by name."""
    return row


@pytest.fixture(scope="session")
def table_of() -> Callable[..., pa.Table]:
    """Makes a table of such rows, without the jpeg column."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), schema=schema.SCHEMA).drop_columns(["jpeg"])

    return make
