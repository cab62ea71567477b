"""What tests of folds and leaks start from: photos of bins seen once to three times."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa
import pytest

ITEM = pa.struct([("asin", pa.string()), ("quantity", pa.int32())])
KINDS = pa.schema(
    [("photo_id", pa.string()), ("count", pa.int32()), ("items", pa.list_(ITEM))],
)


@pytest.fixture
def some_rows() -> Callable[..., pa.Table]:
    """Photos of bins seen once to three times, a product of its own in each bin."""

    def make(bins: int, *, seed: int = 3, largest: int = 5) -> pa.Table:
        rng = np.random.default_rng(seed)
        made, number = [], 0
        for place in range(bins):
            for _ in range(rng.integers(1, 4)):
                number += 1
                count = int(rng.integers(0, largest + 1))
                items = [{"asin": f"A{place}", "quantity": count}]
                made.append({"photo_id": f"{number:05d}", "count": count, "items": items})
        return pa.Table.from_pylist(made, schema=KINDS)

    return make


@pytest.fixture
def rows_of() -> Callable[..., pa.Table]:
    """Rows from (photo_id, count, products as letters)."""

    def make(*bins: tuple[str, int, str]) -> pa.Table:
        made = [
            {"photo_id": photo_id, "count": count, "items": [{"asin": a} for a in products]}
            for photo_id, count, products in bins
        ]
        return pa.Table.from_pylist(made, schema=KINDS)

    return make
