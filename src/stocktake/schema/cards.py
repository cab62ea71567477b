"""Cards: what a model's answers are worth (ScoreCard), and how to make them honest (Calibration).

Both are small JSON files. Every number that comes from photos is an Estimate: with the number of
photos behind it, an interval, and the method that made the interval.
"""

import json
import math
import uuid
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from stocktake.errors import DataError

SCORECARD = "scorecard/1"
CALIBRATION = "calibration/1"

T = TypeVar("T")


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """A number measured on photos: its value, on how many, and how far to trust it."""

    value: float
    """What was measured."""
    n: int
    """Photos it was measured on."""
    low: float
    """Lower end of its interval."""
    high: float
    """Upper end of its interval."""
    method: str
    """How the interval was made, with its level."""

    def __post_init__(self) -> None:
        if not self.low <= self.value <= self.high or not math.isfinite(self.high - self.low):
            raise DataError(
                f"an estimate has value {self.value}, low {self.low}, high {self.high};"
                " expected finite numbers with low <= value <= high; evaluate again"
            )
        if self.n < 1:
            raise DataError(f"an estimate rests on {self.n} photos, expected 1 or more")


@dataclass(frozen=True, kw_only=True, slots=True)
class CountRow:
    """One line of the per-count table, in the reference challenge's form."""

    count: int
    """True count of these photos."""
    n: int
    """Photos with that count."""
    accuracy: Estimate
    """Share of them that were counted right."""
    rmse: Estimate
    """Root of their mean squared error, in things."""
    baselines: dict[str, dict[str, float]]
    """accuracy and rmse of each baseline on these photos; exact, as it needs no photo."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReliabilityBin:
    """Photos answered with about the same confidence."""

    low: float
    """Lower end of the bin, 0 to 1."""
    high: float
    """Upper end of the bin, 0 to 1."""
    confidence: float
    """Mean confidence stated."""
    accuracy: Estimate
    """Share that was right."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Accepted:
    """The surest answers, if only that share of them is accepted."""

    share: float
    """Share of photos whose answers are accepted, above 0 to 1."""
    least_confidence: float
    """Confidence of the least sure answer among them, 0 to 1."""
    accuracy: Estimate
    """Share of them that is right."""
    within_one: Estimate
    """Share of them that is right or off by one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Baseline:
    """An answer given without looking at the photo, scored on the same photos."""

    about: str
    """What it answers, in words."""
    answer: float | None
    """The constant it answers; None if it draws its answers."""
    metrics: dict[str, Estimate]
    """Some of accuracy, within_one, rmse, mae, nll."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Calibration:
    """What makes a model's probabilities honest; fitted on photos that nothing else was."""

    temperature: float
    """Divides log_probs; above 1 makes answers less sure."""
    coverage: float
    """Share of photos whose true count the interval promises to hold, 0 to 1."""
    threshold: float
    """Probability an interval gathers before it stops growing, 0 to 1; see measure.conformal."""
    fold: str
    """Fold both were fitted on: calib, never test."""
    n: int
    """Photos in that fold."""
    max_count: int
    """Largest count the model can say."""
    format: str = CALIBRATION
    """Name and version of this file's format."""

    def __post_init__(self) -> None:
        if not (0 < self.temperature < math.inf):
            raise DataError(f"calibration has temperature {self.temperature}, expected above 0")
        if not (0 < self.coverage < 1 and 0 <= self.threshold <= 1):
            raise DataError(
                f"calibration has coverage {self.coverage} and threshold {self.threshold},"
                " expected both between 0 and 1; evaluate again"
            )
        if self.fold == "test":
            raise DataError("calibration was fitted on the test fold; fit it on calib")

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        _write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "Calibration":
        """The one in that file; DataError if it is missing, damaged or of another format."""
        return _read(path, cls, CALIBRATION)


@dataclass(frozen=True, kw_only=True, slots=True)
class Choice:
    """Which way to decode was chosen, by what, and on which photos: never those judged."""

    metric: str
    """What it was chosen for: accuracy, within_one, rmse or mae."""
    fold: str
    """Fold it was chosen on."""
    n: int
    """Photos in that fold."""
    values: dict[str, float]
    """The metric there under each way to decode, the best first."""


@dataclass(frozen=True, kw_only=True, slots=True)
class DecodingFigure:
    """A figure under the way to decode that is meant for it."""

    decode: str
    """How probabilities become one count."""
    metric: str
    """What is measured."""
    estimate: Estimate
    """The figure on the judged fold."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """A part of the judged photos that share a trait."""

    name: str
    """The trait, as blur or true count."""
    label: str
    """What of it these photos have."""
    n: int
    """Photos in the slice."""
    groups: int
    """Sibling groups in it; intervals resample these."""
    metrics: dict[str, Estimate]
    """accuracy, within_one and rmse on these photos."""
    is_few: bool
    """Whether these are too few photos to judge by."""


@dataclass(frozen=True, kw_only=True, slots=True)
class ScoreCard:
    """What a model's answers are worth on one fold."""

    fold: str
    """Fold that was judged."""
    n: int
    """Photos in it."""
    groups: int
    """Sibling groups in it; intervals resample these."""
    max_count: int
    """Largest count the model can say."""
    beyond_max_count: int
    """Photos whose true count is above max_count: always wrong, never left out."""
    decode: str
    """How probabilities become one count: mode, median, mean (rounded) or window."""
    temperature: float
    """Temperature the probabilities were divided by, fitted on the calib fold."""
    coverage: float
    """Share of photos whose true count the intervals promise to hold."""
    nll_floor: float
    """Probabilities below it count as it in nll."""
    floored: int
    """Photos whose true count had a probability below nll_floor."""
    metrics: dict[str, Estimate]
    """accuracy, within_one, rmse, mae, kappa, nll, brier, ece, covered, width, and before
    calibration nll_before, brier_before, ece_before; over_majority is the gain in accuracy."""
    wilson: dict[str, Estimate]
    """The shares among `metrics` with Wilson intervals, which take photos as independent."""
    decodings: dict[str, dict[str, Estimate]]
    """accuracy, within_one, rmse and mae of each way to decode."""
    baselines: dict[str, Baseline]
    """majority, frequency, mean and median of the train fold."""
    per_count: list[CountRow]
    """By true count, rising."""
    confusion: list[list[int]]
    """Photos by true count (row, 0 to the largest true one) and answered count (column)."""
    reliability: dict[str, list[ReliabilityBin]]
    """Bins with photos, `before` and `after` calibration."""
    selective: list[Accepted] = field(default_factory=list)
    """The surest tenth, two tenths and so on to all; cards from before have none."""
    choice: Choice | None = None
    """How `decode` was chosen; None if it was set."""
    by_decoding: list[DecodingFigure] = field(default_factory=list)
    """Each way to decode with what it is meant for; cards from before have none."""
    slices: list[Slice] = field(default_factory=list)
    """By trait of the photos; cards from before have none."""
    counts: str = ""
    """True counts that were judged and could be answered, as "1-5"; "" for all."""
    mix: str = ""
    """Mix of counts the probabilities were corrected to; "" for that of training."""
    shift: list[float | None] = field(default_factory=list)
    """What `counts` and `mix` add to each count's log-probability after the temperature, before it
    is normalised; None: never answered. Empty if nothing is added."""
    calibration: Calibration | None = None
    """What answers were judged with, fitted under the same counts and mix; calibration.json holds
    that of the model as it is served, without either."""
    format: str = SCORECARD
    """Name and version of this file's format."""

    def write(self, path: Path) -> None:
        """Replace the file in one step."""
        _write(path, asdict(self))

    @classmethod
    def read(cls, path: Path) -> "ScoreCard":
        """The card in that file; DataError if it is missing, damaged or of another format."""
        return _read(path, cls, SCORECARD)


def _write(path: Path, row: dict[str, Any]) -> None:
    part = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.part")
    try:
        part.write_text(json.dumps(row, indent=1, allow_nan=False) + "\n", encoding="utf-8")
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


def _read(path: Path, kind: type[T], format: str) -> T:
    try:
        row = msgspec.json.decode(Path(path).read_bytes())
        found = row.get("format") if isinstance(row, dict) else None
        if found == format:
            return msgspec.convert(row, kind)
    except FileNotFoundError:
        raise DataError(f"{path} is not there; `stocktake evaluate` makes it") from None
    except (msgspec.DecodeError, OSError) as err:
        raise DataError(f"{path} cannot be read ({err}); evaluate again") from err
    raise DataError(f"{path} has format {found!r}, this version reads {format}; evaluate again")
