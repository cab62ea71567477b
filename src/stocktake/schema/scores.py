"""Scores: one row per photo with its true count and log-probabilities over counts 0..max_count.

A true count above max_count stays in the table: the model cannot say it, so it counts as wrong.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from stocktake.errors import DataError

FORMAT = "scores/1"
TOLERANCE = 1e-3
"""Allowed gap between a row's summed probabilities and 1; float32 sums stay under 1e-5."""


def schema(max_count: int) -> pa.Schema:
    """The columns of a scores table with K = max_count + 1."""
    return pa.schema(
        [
            ("photo_id", pa.string()),
            ("fold", pa.string()),
            ("group", pa.string()),
            ("count", pa.int32()),
            ("log_probs", pa.list_(pa.float32(), max_count + 1)),
        ]
    )


def table_of(rows: pa.Table, log_probs: NDArray[np.float32]) -> pa.Table:
    """A scores table.

    Args:
        rows: photo_id, fold, group and count of N photos; further columns are left out.
        log_probs: float32 (N, K), row for row.

    Raises:
        DataError: if the lengths differ or the table breaks its format.
    """
    if log_probs.ndim != 2 or len(rows) != len(log_probs):
        raise DataError(f"{len(rows)} photos but log_probs of shape {log_probs.shape}")
    flat = pa.array(np.ascontiguousarray(log_probs, dtype=np.float32).reshape(-1))
    names = ["photo_id", "fold", "group", "count"]
    columns: list[pa.Array | pa.ChunkedArray] = [rows[name] for name in names]
    columns.append(pa.FixedSizeListArray.from_arrays(flat, log_probs.shape[1]))
    made = pa.Table.from_arrays(columns, names=[*names, "log_probs"])
    table = made.cast(schema(log_probs.shape[1] - 1))
    check(table)
    return table


def max_count(table: pa.Table) -> int:
    """Largest count the model of these scores can say."""
    return int(table.schema.field("log_probs").type.list_size) - 1


def matrix(table: pa.Table) -> NDArray[np.float32]:
    """log_probs as float32 (N, K)."""
    flat = table["log_probs"].combine_chunks().flatten()
    return flat.to_numpy(zero_copy_only=False).reshape(len(table), max_count(table) + 1)


def counts(table: pa.Table) -> NDArray[np.int64]:
    """True counts as int64 (N,)."""
    return table["count"].to_numpy().astype(np.int64)


def worth_a_look(
    log_probs: NDArray[Any], counts: NDArray[np.int64], photos: int
) -> dict[str, list[int]]:
    """Places of the answers that a person would look at first, at most `photos` of each kind.

    wrong: wrong with the most confidence. far: furthest off, of equals the surest. unsure: with the
    least confidence. right: right with the most.

    Args:
        log_probs: (N, K).
        counts: true counts (N,).
        photos: of each kind.
    """
    said, sure = log_probs.argmax(axis=1), log_probs.max(axis=1)
    off = np.abs(said - counts)
    surest = np.argsort(-sure, kind="stable")
    furthest = surest[np.argsort(-off[surest], kind="stable")]
    found = {
        "wrong": surest[off[surest] > 0],
        "far": furthest[off[furthest] > 1],
        "unsure": surest[::-1],
        "right": surest[off[surest] == 0],
    }
    return {kind: places[:photos].tolist() for kind, places in found.items()}


def of_folds(table: pa.Table, folds: Sequence[str]) -> pa.Table:
    """The rows of these folds, in their order."""
    return table.filter(pc.is_in(table["fold"], pa.array(list(folds), pa.string())))


def check(table: pa.Table) -> None:
    """Hold a table to the format.

    Raises:
        DataError: if a column is missing or of another type, an id appears twice, a count is
            negative, or a row of log_probs is not the log of a distribution.
    """
    _check_columns(table)
    ids = table["photo_id"]
    if len(pc.unique(ids)) != len(ids):
        twice = pc.value_counts(ids).to_pylist()
        name = next(row["values"] for row in twice if row["counts"] > 1)
        raise DataError(f"scores hold photo {name} twice; score again")
    if len(table) and pc.min(table["count"]).as_py() < 0:
        raise DataError("scores hold a negative count; counts are 0 or more")
    sums = np.exp(matrix(table).astype(np.float64)).sum(axis=1)
    bad = np.flatnonzero(~(np.abs(sums - 1) <= TOLERANCE))  # NaN is bad too
    if bad.size:
        raise DataError(
            f"probabilities of photo {ids[int(bad[0])].as_py()} sum to {sums[bad[0]]:.4g}, not 1"
            f" ({bad.size} such rows); train and score again"
        )


def _check_columns(table: pa.Table) -> None:
    found = table.schema
    for name in ("photo_id", "fold", "group", "count", "log_probs"):
        if name not in found.names:
            raise DataError(f"scores have no column '{name}', only {found.names}; score again")
        if table[name].null_count:
            raise DataError(f"scores have {table[name].null_count} empty values in '{name}'")
    kind = found.field("log_probs").type
    if not pa.types.is_fixed_size_list(kind) or kind.value_type != pa.float32():
        raise DataError(f"scores' log_probs are {kind}, expected a fixed list of float32")
