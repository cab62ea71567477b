"""Heat maps: where in some scored photos the model found its answer, in coarse cells."""

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

FORMAT = "heatmaps/1"
SCHEMA = pa.schema(
    [
        ("photo_id", pa.string()),
        ("count", pa.int32()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("heat", pa.binary()),
    ]
)
"""`count` is the answer that is explained; `heat` holds rows * columns bytes, 255 the hottest."""


def table_of(
    photo_ids: Sequence[str], counts: NDArray[np.int64], maps: NDArray[np.float32]
) -> pa.Table:
    """The table of heat maps float32 (N, h, w) from 0 to 1, with their photos and answers (N,)."""
    cells = np.round(maps * 255).astype(np.uint8)
    columns = {
        "photo_id": list(photo_ids),
        "count": counts,
        "rows": [maps.shape[1]] * len(maps),
        "columns": [maps.shape[2]] * len(maps),
        "heat": [one.tobytes() for one in cells],
    }
    return pa.table(columns, schema=SCHEMA)


def by_photo(table: pa.Table) -> dict[str, NDArray[np.uint8]]:
    """Heat maps uint8 (h, w) by photo_id."""
    return {
        row["photo_id"]: np.frombuffer(row["heat"], dtype=np.uint8).reshape(
            row["rows"], row["columns"]
        )
        for row in table.to_pylist()
    }
