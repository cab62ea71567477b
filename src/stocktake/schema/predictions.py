"""Prediction: what a bundle says of one photo; on disk a table with one row per photo asked about.

A photo that could not be read keeps its row: its numbers are empty and `error` says why.
"""

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError

if TYPE_CHECKING:
    import pyarrow as pa

FORMAT = "prediction/2"
DECISIONS = ("accept", "review")
"""What to do with an answer: book it, or have somebody look at the bin."""
TOLERANCE = 1e-3
"""Allowed gap between the summed probabilities and 1; float32 sums stay under 1e-5."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Prediction:
    """One photo's count, how sure the model is, and the counts it could be."""

    photo_id: str
    """Which photo; empty if the caller gave it no name."""
    count: int
    """The count, decoded as the bundle says: the most probable one, or as it was evaluated."""
    confidence: float
    """Probability of `count`, 0 to 1."""
    low: int
    """Smallest count of the interval."""
    high: int
    """Largest count of the interval."""
    coverage: float
    """Share of photos whose true count the interval promises to hold, 0 to 1."""
    probabilities: list[float]
    """Probability of each count 0..max_count; they sum to 1."""
    decision: str
    """"accept" where the confidence is at least what the bundle asks for, else "review"."""
    bundle: str
    """Id of the bundle that answered."""

    def __post_init__(self) -> None:
        check(self)

    def to_dict(self) -> dict[str, Any]:
        """Plain data for JSON."""
        return dataclasses.asdict(self)


def check(prediction: Prediction) -> None:
    """Hold a prediction to its invariants.

    Raises:
        DataError: if low <= count <= high does not hold, or the probabilities are no distribution.
    """
    p = prediction
    where = f"prediction of photo '{p.photo_id}'"
    max_count = len(p.probabilities) - 1
    if not 0 <= p.low <= p.count <= p.high <= max_count:
        raise DataError(
            f"{where} has low {p.low}, count {p.count}, high {p.high} of {max_count};"
            " expected 0 <= low <= count <= high <= max_count; export the bundle again"
        )
    total = sum(p.probabilities)
    if not abs(total - 1) <= TOLERANCE:  # NaN fails too
        raise DataError(f"{where} has probabilities that sum to {total:.4g}, not 1")
    if min(p.probabilities) < 0:
        raise DataError(f"{where} has a probability of {min(p.probabilities):.4g}, below 0")
    if p.decision not in DECISIONS:
        raise DataError(f"{where} has decision '{p.decision}', expected one of {DECISIONS}")
    if not 0 < p.coverage < 1:
        raise DataError(f"{where} has coverage {p.coverage}, expected between 0 and 1")


def schema(max_count: int) -> "pa.Schema":
    """The columns of a predictions table with K = max_count + 1 probabilities."""
    import pyarrow as pa

    return pa.schema(
        [
            ("photo_id", pa.string()),
            ("source", pa.string()),
            ("count", pa.int32()),
            ("confidence", pa.float32()),
            ("low", pa.int32()),
            ("high", pa.int32()),
            ("coverage", pa.float32()),
            ("probabilities", pa.list_(pa.float32(), max_count + 1)),
            ("decision", pa.string()),
            ("bundle", pa.string()),
            ("error", pa.string()),
        ]
    )


def failed_row(*, photo_id: str, source: str, bundle: str, error: str) -> dict[str, Any]:
    """The row of a photo that got no answer, with the reason."""
    return {"photo_id": photo_id, "source": source, "bundle": bundle, "error": error}


def row_of(prediction: Prediction, *, source: str) -> dict[str, Any]:
    """The row of a photo that got an answer; `source` is its key below the address."""
    return {**prediction.to_dict(), "source": source, "error": None}


def table_of(rows: Sequence[Mapping[str, Any]], *, max_count: int) -> "pa.Table":
    """A predictions table from rows of `row_of` and `failed_row`, in their order.

    Raises:
        DataError: if the rows break the format.
    """
    import pyarrow as pa

    columns = schema(max_count)
    try:
        arrays = [pa.array([row.get(f.name) for row in rows], type=f.type) for f in columns]
    except (pa.ArrowInvalid, pa.ArrowTypeError) as err:
        raise DataError(f"predictions do not fit their table: {err}") from err
    table = pa.Table.from_arrays(arrays, schema=columns)
    check_table(table)
    return table


def check_table(table: "pa.Table") -> None:
    """Hold a table to the format: every source once, each row with an answer or a reason.

    Raises:
        DataError: if a column is missing, a source appears twice, or a row has neither answer nor
            reason, or both.
    """
    import pyarrow.compute as pc

    missing = set(schema(1).names) - set(table.schema.names)
    if missing:
        raise DataError(f"predictions have no column '{sorted(missing)[0]}'; predict again")
    sources = table["source"]
    if len(pc.unique(sources)) != len(sources):
        twice = next(r["values"] for r in pc.value_counts(sources).to_pylist() if r["counts"] > 1)
        raise DataError(f"predictions hold {twice} twice; predict again")
    unclear = pc.sum(pc.equal(table["count"].is_valid(), table["error"].is_valid())).as_py()
    if unclear:
        raise DataError(
            f"{unclear} rows of the predictions have both or neither of count and error;"
            " expected one of them; predict again"
        )
