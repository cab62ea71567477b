"""The way of the data, from photos in a bucket to counts over HTTP."""

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from stocktake.errors import SettingsError, nearest
from stocktake.runs.folder import RunFolder


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """What a stage saw beyond its settings; handed to its function as `seen`, to look but once."""

    digest: str
    """Goes into the fingerprint."""
    what: Any = field(compare=False)
    """The thing itself."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Parts:
    """What a stage's file holds: its settings, its function, what it sees beyond its settings.

    `pace` names settings that decide how fast the run is made, or where a copy of it goes, and
    never what later stages read: changing one does not make a finished run again.

    `lacks` says whether a finished run still lacks something that such a setting asks for, as a
    copy at a new address. Its function is then called once more in the same folder, and no later
    stage takes note.

    `check` looks parts up on their shelves, so it may import heavy rooms; it is asked before a
    walk begins, so that a misspelled part does not wait for its turn.

    `check_place` refuses settings that cannot be met in the run's own folder, before anything in
    that folder is moved or written.
    """

    settings: type
    function: Callable[..., Any]
    outside: Callable[[Any], "str | Seen"] | None
    check: Callable[[Any], None] | None
    check_place: Callable[[Any, Path], None] | None
    lacks: Callable[[Any, RunFolder], bool] | None
    pace: tuple[str, ...]
    estimate: Callable[..., Mapping[str, Any]] | None = None
    """Says what making the stage will take, from a short measurement."""


@dataclass(frozen=True, slots=True)
class Stage:
    """One verb: named inputs in, one named thing out. `is_driver`: it sends jobs itself."""

    name: str
    takes: tuple[str, ...]
    gives: str
    about: str
    version: int = 1
    is_driver: bool = False
    has_estimate: bool = False
    """Whether its file has `estimate`; said here, so that help need not import it."""
    or_takes: tuple[str, ...] = ()
    """What it takes instead, where that is given and it reads photos from its `source`."""
    reads_photos: bool = False
    """Whether its settings have a `source` of photos, which may stand where a file would."""

    def inputs(self, given: Collection[str]) -> tuple[str, ...]:
        """Names of its inputs, if these are given."""
        return self.or_takes if set(self.or_takes) & set(given) else self.takes

    def load(self) -> Parts:
        """The stage's file, imported: settings, function, and what else it has of `Parts`."""
        module = import_module(f"stocktake.stages.{self.name}")
        return Parts(
            settings=getattr(module, f"{self.name.capitalize()}Settings"),
            function=getattr(module, self.name),
            outside=getattr(module, "outside", None),
            check=getattr(module, "check", None),
            check_place=getattr(module, "check_place", None),
            lacks=getattr(module, "lacks", None),
            pace=getattr(module, "PACE", ()),
            estimate=getattr(module, "estimate", None),
        )


DATA = ("photos", "split")

STAGES = (
    Stage("paint", (), "source", "Paint bin photos with known counts."),
    Stage("ingest", (), "photos", "Bring photos and counts into Parquet shards."),
    Stage("explore", ("photos",), "facts", "Say what the data is like.", version=2),
    Stage("split", ("photos",), "split", "Give every photo a fold; siblings stay together.", 2),
    Stage("tune", DATA, "study", "Search for better training settings.", is_driver=True),
    Stage("train", DATA, "checkpoint", "Fit a counter.", 2, has_estimate=True),
    Stage("score", (*DATA, "checkpoint"), "scores", "Log-probabilities of every count, per photo."),
    Stage(
        "evaluate",
        ("photos", "scores"),
        "calibration",
        "Scorecard with intervals; calibration.",
        or_takes=("bundle",),
        reads_photos=True,
    ),
    Stage("export", ("checkpoint", "calibration"), "bundle", "ONNX bundle, ready to serve."),
    Stage(
        "predict",
        ("bundle",),
        "predictions",
        "Counts for any photos, without torch.",
        reads_photos=True,
    ),
    Stage("serve", ("bundle", *DATA), "answers", "Answer over HTTP; in a run, prove it on photos."),
)


def names() -> list[str]:
    """Every stage's name, in the order of the way."""
    return [stage.name for stage in STAGES]


def find(name: str) -> Stage:
    """The stage of that name. Raises SettingsError with the nearest name for an unknown one."""
    for stage in STAGES:
        if stage.name == name:
            return stage
    raise SettingsError(f"there is no stage '{name}'; {nearest(name, names())}")


def giver(thing: str) -> Stage:
    """The stage that makes `thing`. Raises SettingsError if none does."""
    for stage in STAGES:
        if stage.gives == thing:
            return stage
    things = [stage.gives for stage in STAGES]
    raise SettingsError(f"no stage gives '{thing}'; {nearest(thing, things)}")
