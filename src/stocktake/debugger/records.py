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

from bisect import bisect_left, bisect_right, insort
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from functools import partial
from math import inf
from typing import Literal, NamedTuple, overload

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
    _lowest: list[float] = field(default_factory=list, repr=False)

    def add(self, row: Row) -> None:
        """Put a row at its place; one of the same step replaces it: a resumed run tells it anew."""
        place = bisect_left(self.steps, row.step)
        del self._lowest[place:]
        if place < len(self.steps) and self.steps[place] == row.step:
            self.rows[place] = row
        else:
            self.steps.insert(place, row.step)
            self.rows.insert(place, row)

    def upto(self, step: int) -> "Rows":
        """The rows of this step and those before it."""
        return Rows(self, bisect_right(self.steps, step))

    def lowest(self, end: int) -> float:
        """The least value of the first `end` rows, NaN apart; infinite if there is none.

        Kept as it is found, so that asking at every step does not read all rows every time.
        """
        kept = self._lowest
        for row in self.rows[len(kept) : end]:
            low = kept[-1] if kept else inf
            kept.append(row.value if row.value < low else low)
        return kept[end - 1] if end > 0 else inf


class Rows(Sequence[Row]):
    """The first rows of a series, not copied: the newest of many cost as little as of few."""

    __slots__ = ("_end", "_series")

    def __init__(self, series: Series, end: int) -> None:
        self._series = series
        self._end = end

    def __len__(self) -> int:
        return self._end

    @overload
    def __getitem__(self, place: int) -> Row: ...
    @overload
    def __getitem__(self, place: slice) -> list[Row]: ...
    def __getitem__(self, place: int | slice) -> Row | list[Row]:
        if isinstance(place, slice):
            return self._series.rows[slice(*place.indices(self._end))]
        if not -self._end <= place < self._end:
            raise IndexError(place)
        return self._series.rows[place % self._end]

    def place_before(self, step: int) -> int:
        """Place of the newest row whose step is at most this; -1 if there is none."""
        return bisect_right(self._series.steps, step, hi=self._end) - 1

    def lowest(self, end: int) -> float:
        """The least value of the first `end` of them, NaN apart; infinite if there is none."""
        return self._series.lowest(end)


class Key(NamedTuple):
    """Names a series; a tuple, since rules look up thousands at each step."""

    name: str
    statistic: str
    mode: Mode
    worker: int = 0


class Record:
    """What is known of a training so far; rows may still come."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self._series: dict[Key, Series] = {}
        self._names: dict[tuple[Mode, str], dict[str, str]] = {}
        self._steps: dict[tuple[Mode, int], list[int]] = {}
        self._times: dict[tuple[Mode, int, int], float] = {}
        self.last_time = 0.0
        """When the newest row was made, seconds since 1970; 0 for none."""
        self.extend(rows)

    def extend(self, rows: Iterable[Row]) -> None:
        """Take more rows, in any order."""
        for row in rows:
            key = Key(row.name, row.statistic, row.mode, row.worker)
            self._series.setdefault(key, Series()).add(row)
            self._names.setdefault((row.mode, row.collection), {})[row.name] = row.kind
            at = (row.mode, row.worker, row.step)
            if at not in self._times:
                insort(self._steps.setdefault(at[:2], []), row.step)
            self._times[at] = max(self._times.get(at, row.time), row.time)
            self.last_time = max(self.last_time, row.time)

    def steps(self, mode: Mode, worker: int | None = None) -> Sequence[int]:
        """The steps of a mode that have a row, of one worker or of any, rising."""
        if worker is not None:
            return self._steps.get((mode, worker), ())
        of_mode = [steps for (one, _), steps in self._steps.items() if one == mode]
        return of_mode[0] if len(of_mode) == 1 else sorted({step for of in of_mode for step in of})

    def time(self, mode: Mode, step: int, worker: int = 0) -> float:
        """When the newest row of a step was made, seconds since 1970; 0 if it has none."""
        return self._times.get((mode, worker, step), 0.0)

    def time_before(self, mode: Mode, step: int, worker: int = 0) -> float:
        """When the newest row that came before those of a step was made; 0 if it is the first."""
        now = self.time(mode, step, worker)
        found = 0.0
        for (other_mode, other_worker), steps in self._steps.items():
            if (other_mode, other_worker) == (mode, worker):
                place = bisect_left(steps, step)
            else:
                key = partial(self._time_of, other_mode, other_worker)
                place = bisect_right(steps, now, key=key)
            if place:
                found = max(found, self._times[other_mode, other_worker, steps[place - 1]])
        return found

    def _time_of(self, mode: Mode, worker: int, step: int) -> float:
        return self._times[mode, worker, step]

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
        return sorted({worker for _, worker in self._steps})

    def series(
        self, name: str, statistic: str = "value", *, mode: Mode = "train", worker: int = 0
    ) -> Series:
        """One statistic of one tensor; empty if there is none."""
        found = self._series.get(Key(name, statistic, mode, worker))
        return Series() if found is None else found


@dataclass(frozen=True, slots=True)
class View:
    """A record as it was at one step: nothing after it can be seen. What a rule is given."""

    record: Record
    mode: Mode
    step: int
    worker: int = 0
    """Rank of the process whose rows are seen."""
    clock: float = 0.0
    """What time it is, where rows may still come, seconds since 1970; 0 where none will."""
    looked_at: set[str] = field(default_factory=set, compare=False)
    """Filled by looking: names of the tensors of which a row was there."""

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

    def rows(self, name: str, statistic: str = "value", *, mode: Mode | None = None) -> Rows:
        """The rows of a statistic up to this step, the newest last.

        Rows of another mode are those made before this step's rows were, by their time.
        """
        asked = mode or self.mode
        series = self.record.series(name, statistic, mode=asked, worker=self.worker)
        if series.rows:
            self.looked_at.add(name)
        if asked == self.mode:
            return series.upto(self.step)
        return Rows(series, bisect_right(series.rows, self.now, key=lambda row: row.time))

    def row(self, name: str, statistic: str = "value") -> Row | None:
        """The row of exactly this step; None if there is none."""
        series = self.record.series(name, statistic, mode=self.mode, worker=self.worker)
        if not series.rows:
            return None
        self.looked_at.add(name)
        place = bisect_left(series.steps, self.step)
        is_there = place < len(series.steps) and series.steps[place] == self.step
        return series.rows[place] if is_there else None

    def value(self, name: str, statistic: str = "value") -> float | None:
        """The number of exactly this step; None if there is none."""
        row = self.row(name, statistic)
        return None if row is None else row.value

    @property
    def now(self) -> float:
        """When this step's newest row was made, seconds since 1970."""
        return self.record.time(self.mode, self.step, self.worker)
