"""Records: what was seen of a training, as rows of numbers, on disk and in memory. Knows no torch.

A record is a folder of Parquet files, each written whole:

    debug-output/part-000001-w0.parquet     one row per tensor, step and statistic
    debug-output/end.json                   how the training ended; missing while it goes on
    debug-output/end-w1.json                the same of rank 1

| column | |
|---|---|
| step | int64, counted from 0 within its mode |
| mode | "train", "eval" or "predict" |
| worker | int32, rank of the process |
| name | what the tensor is called: "fc1.weight", "gradient/fc1.weight", "loss", "block.1:out" |
| collection | "losses", "gradients", "weights", "biases", "inputs", "activations", ... |
| kind | type of the module that an activation belongs to, as "ReLU"; empty for others |
| statistic | "value" for a scalar or a whole tensor, "mean", "std", ...: see `reductions` |
| value | double |
| values | list of double: a histogram's counts, quantiles, or a whole tensor, flat; else empty |
| shape | list of int32: of the tensor |
| time | double, seconds since 1970 |

`zeros`, `nans`, `infs` and `positive` are shares of the elements, 0 to 1. A series is named without
its collection, so a name belongs to one tensor only: a gradient is not called as its weight is.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Literal

Mode = Literal["train", "eval", "predict"]
MODES: tuple[Mode, ...] = ("train", "eval", "predict")

COLLECTIONS = (
    "losses",
    "gradients",
    "weights",
    "biases",
    "inputs",
    "activations",
    "activation_inputs",
    "optimizer",
    "predictions",
    "labels",
    "scalars",
)
"""Collections that the recorder knows by itself; others are made by a regular expression."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """One statistic of one tensor at one step."""

    step: int
    """Counted from 0 within its mode."""
    mode: Mode
    name: str
    """What the tensor is called."""
    collection: str
    statistic: str
    value: float = float("nan")
    """The number; NaN where the statistic is a list."""
    values: tuple[float, ...] = ()
    """The numbers of a list."""
    shape: tuple[int, ...] = ()
    """Shape of the tensor."""
    kind: str = ""
    """Type of the module that an activation belongs to."""
    worker: int = 0
    """Rank of the process."""
    time: float = 0.0
    """Seconds since 1970."""


@dataclass(slots=True)
class Series:
    """One statistic of one tensor in one mode, by rising step."""

    steps: list[int] = field(default_factory=list)
    rows: list[Row] = field(default_factory=list)

    def add(self, row: Row) -> None:
        """Put a row at its place; one of the same step replaces it: a resumed run tells it anew."""
        place = bisect_left(self.steps, row.step)
        if place < len(self.steps) and self.steps[place] == row.step:
            self.rows[place] = row
        else:
            self.steps.insert(place, row.step)
            self.rows.insert(place, row)

    def upto(self, step: int) -> Sequence[Row]:
        """The rows of this step and those before it."""
        return self.rows[: bisect_right(self.steps, step)]


@dataclass(frozen=True, slots=True)
class Key:
    """Names a series."""

    name: str
    statistic: str
    mode: Mode
    worker: int = 0


class Record:
    """What is known of a training so far; rows may still come."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._series: dict[Key, Series] = {}
        self._names: dict[tuple[Mode, str], dict[str, str]] = {}
        self._steps: dict[Mode, list[int]] = {mode: [] for mode in MODES}
        self.last_time = 0.0
        """When the newest row was made, seconds since 1970; 0 for none."""
        self.extend(rows)

    def extend(self, rows: Iterable[Row]) -> None:
        """Take more rows, in any order."""
        for row in rows:
            key = Key(row.name, row.statistic, row.mode, row.worker)
            self._series.setdefault(key, Series()).add(row)
            self._names.setdefault((row.mode, row.collection), {})[row.name] = row.kind
            steps = self._steps[row.mode]
            place = bisect_left(steps, row.step)
            if place == len(steps) or steps[place] != row.step:
                steps.insert(place, row.step)
            self.last_time = max(self.last_time, row.time)

    def steps(self, mode: Mode) -> Sequence[int]:
        """The steps of a mode that have a row, rising."""
        return self._steps[mode]

    def names(self, collection: str, mode: Mode | None = None) -> list[str]:
        """Names of the tensors in a collection, in the order they were first seen."""
        modes = MODES if mode is None else (mode,)
        found = [name for one in modes for name in self._names.get((one, collection), {})]
        return list(dict.fromkeys(found))

    def kind(self, name: str, collection: str) -> str:
        """Type of the module that an activation belongs to; empty if unknown."""
        for mode in MODES:
            if name in (known := self._names.get((mode, collection), {})):
                return known[name]
        return ""

    def collections(self) -> list[str]:
        """The collections that have a row."""
        return list(dict.fromkeys(collection for _, collection in self._names))

    def workers(self) -> list[int]:
        """Ranks that have a row, rising."""
        return sorted({key.worker for key in self._series})

    def series(
        self, name: str, statistic: str = "value", *, mode: Mode = "train", worker: int = 0
    ) -> Series:
        """One statistic of one tensor; empty if there is none."""
        return self._series.get(Key(name, statistic, mode, worker), Series())


@dataclass(frozen=True, slots=True)
class View:
    """A record as it was at one step: nothing after it can be seen. What a rule is given."""

    record: Record
    mode: Mode
    step: int

    def names(self, *collections: str, regex: str = "") -> list[str]:
        """Tensors of these collections, and those of any whose name the expression finds."""
        import re

        found = [name for one in collections for name in self.record.names(one, self.mode)]
        if regex:
            wanted = re.compile(regex)
            found += [
                name
                for one in self.record.collections()
                for name in self.record.names(one, self.mode)
                if wanted.search(name)
            ]
        return list(dict.fromkeys(found))

    def rows(
        self, name: str, statistic: str = "value", *, mode: Mode | None = None, worker: int = 0
    ) -> Sequence[Row]:
        """The rows of a statistic up to this step, the newest last.

        Rows of another mode are those made before this step's rows were, by their time.
        """
        asked = mode or self.mode
        series = self.record.series(name, statistic, mode=asked, worker=worker)
        if asked == self.mode:
            return series.upto(self.step)
        now = self.now
        return [row for row in series.rows if row.time <= now]

    def row(self, name: str, statistic: str = "value", *, worker: int = 0) -> Row | None:
        """The row of exactly this step; None if there is none."""
        rows = self.rows(name, statistic, worker=worker)
        return rows[-1] if rows and rows[-1].step == self.step else None

    def value(self, name: str, statistic: str = "value", *, worker: int = 0) -> float | None:
        """The number of exactly this step; None if there is none."""
        row = self.row(name, statistic, worker=worker)
        return None if row is None else row.value

    @property
    def now(self) -> float:
        """When this step's newest row was made, seconds since 1970."""
        return max(self._times(), default=0.0)

    def _times(self) -> Iterator[float]:
        for key, series in self.record._series.items():
            if key.mode == self.mode:
                place = bisect_left(series.steps, self.step)
                if place < len(series.steps) and series.steps[place] == self.step:
                    yield series.rows[place].time
