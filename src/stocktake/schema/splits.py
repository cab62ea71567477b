"""Split: the fold of every photo; a sibling group lies in one fold, unless asked otherwise."""

import pyarrow as pa
import pyarrow.compute as pc

from stocktake.errors import DataError
from stocktake.schema.photos import check_order

FORMAT = "split/1"

FOLDS = ("train", "val", "calib", "test")
"""train fits the weights, val picks epoch and settings, calib fits temperature and intervals, test
is looked at last."""

SCHEMA = pa.schema(
    [
        pa.field("photo_id", pa.string(), nullable=False),
        pa.field("fold", pa.string(), nullable=False),
        pa.field("group", pa.string(), nullable=False),
        pa.field("count", pa.int32(), nullable=False),
    ]
)
"""group is the sibling group, named by its first photo_id."""


def check(table: pa.Table, *, whole: bool = True) -> None:
    """Hold a split to its format.

    Args:
        table: photos with their folds.
        whole: whether sibling groups must be; false for a random split, made to compare with.

    Raises:
        DataError: if columns differ, a photo is there twice or out of order, a fold is unknown or a
            sibling group lies in two folds.
    """
    if table.schema.names != SCHEMA.names or table.schema.types != SCHEMA.types:
        raise DataError(f"split has columns {table.schema.names}, expected {SCHEMA.names}")
    for name in SCHEMA.names:
        if table[name].null_count:
            raise DataError(f"split has empty values in '{name}'; split again")
    check_order(table["photo_id"])
    unknown = set(pc.unique(table["fold"]).to_pylist()) - set(FOLDS)
    if unknown:
        raise DataError(f"split has a fold '{min(unknown)}', expected one of {', '.join(FOLDS)}")
    parted = torn(table) if whole else ()
    if parted:
        raise DataError(
            f"split has {len(parted)} sibling groups in two folds, the first is '{parted[0]}';"
            " split again"
        )


def torn(table: pa.Table) -> tuple[str, ...]:
    """Sibling groups that lie in more than one fold, in rising order."""
    folds = table.group_by("group").aggregate([("fold", "count_distinct")])
    parted = folds.filter(pc.greater(folds["fold_count_distinct"], 1))["group"].to_pylist()
    return tuple(sorted(parted))
