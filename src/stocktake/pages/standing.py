"""Standing: how each stage of a run stands, as its own folder says it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from stocktake.errors import RunError, StocktakeError
from stocktake.runs.folder import RunFolder

ORDER = (
    "paint", "ingest", "explore", "split", "tune", "train",
    "score", "evaluate", "export", "predict", "serve",
)  # fmt: skip
"""The way of the data; a test holds it to the table of stages."""

DAMAGE = (
    StocktakeError, OSError, LookupError, TypeError, ValueError, AttributeError, ArithmeticError,
)  # fmt: skip
"""What reading a damaged file can raise; anything else is a mistake of ours."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Stage:
    """One stage of the run, in whatever state it was left."""

    name: str
    run: RunFolder
    status: str
    """done, running, failed, stopped; or unreadable, if run.json is damaged."""
    trouble: str = ""
    """One line on why it is not done; empty if it is."""
    outdated: tuple[str, ...] = ()
    """Stages before it that are no longer what this one was made from."""
    warnings: tuple[str, ...] = ()
    """What the last attempt warned of."""
    seconds: float | None = None
    """What the last attempt took."""
    ended: float | None = None
    """When it ended, Unix time."""
    info: Mapping[str, Any] = field(default_factory=dict)
    """run.json as it is; empty if unreadable."""

    @property
    def is_done(self) -> bool:
        """Whether its result and artifacts are whole."""
        return self.status == "done"

    @property
    def fingerprint(self) -> str:
        """What the run was made of, hex."""
        return str(self.info.get("fingerprint", ""))

    def figure(self, name: str) -> Any:
        """One value of its result; None unless it is done, readable and has one."""
        try:
            return self.run.result().get(name)
        except DAMAGE:
            return None

    def artifact(self, name: str) -> Path:
        """Path of one of its artifacts; nothing is made."""
        return self.run.path / "artifacts" / name


Stages = Mapping[str, Stage]
"""The stages that were begun, by name, in the order of the way."""


def read_stages(folder: Path) -> dict[str, Stage]:
    """Every stage that was begun in the run's folder.

    Raises:
        RunError: if there is none.
    """
    runs = {name: RunFolder(folder / name) for name in ORDER}
    found = {name: _read(name, run) for name, run in runs.items() if run.exists()}
    if not found:
        raise RunError(
            f"{folder} holds no run of any stage; `stocktake run` makes some, then the report"
        )
    return _with_outdated(found, folder)


def _read(name: str, run: RunFolder) -> Stage:
    try:
        info = run.info()
        status = str(info["status"])
        return Stage(
            name=name,
            run=run,
            status=status,
            trouble=_trouble(status, info, run),
            warnings=_warnings(run, float(info.get("started", 0))),
            seconds=_float(info.get("seconds")),
            ended=_float(info.get("ended")),
            info=info,
        )
    except DAMAGE as err:
        return Stage(name=name, run=run, status="unreadable", trouble=line(err))


def _float(value: Any) -> float | None:
    return None if value is None else float(value)


def _trouble(status: str, info: Mapping[str, Any], run: RunFolder) -> str:
    if status == "done":
        return ""
    if status == "failed":
        error = info.get("error") or {}
        return str(error.get("message") or "it failed without a word; log.jsonl may say more")
    if status == "stopped":
        return "stopped before its end; run it again to finish it"
    far = run.how_far()
    of = f" of {far.total:,}" if far and far.total else ""
    seen = f"last seen at {far.done:,}{of} {far.what}; " if far else ""
    return f"{seen}not finished when this page was written"


def _warnings(run: RunFolder, since: float) -> tuple[str, ...]:
    """Warnings since that time, each text once; a damaged log is one itself."""
    try:
        rows = [row for row in run.lines() if row["level"] == "warning" and row["time"] >= since]
        return tuple(dict.fromkeys(str(row["message"]) for row in rows))
    except DAMAGE as err:
        return (f"log.jsonl cannot be read ({line(err)})",)


def _with_outdated(found: Stages, folder: Path) -> dict[str, Stage]:
    """The same stages, each told which of its inputs here are no longer what it took.

    A stage behind an outdated one is outdated for the same reason.
    """
    seen: dict[str, Stage] = {}
    for name, stage in found.items():
        changed: dict[str, None] = {}
        for source, taken in _sources(stage, seen, folder.resolve().name):
            if not source.is_done or source.fingerprint != taken:
                changed[source.name] = None
            changed |= dict.fromkeys(source.outdated)
        seen[name] = replace(stage, outdated=tuple(changed))
    return seen


def _sources(stage: Stage, seen: Stages, run_name: str) -> Iterator[tuple[Stage, str]]:
    """The stages of this run that a stage took as input, each with the fingerprint it had."""
    inputs = stage.info.get("inputs")
    for taken in inputs.values() if isinstance(inputs, Mapping) else ():
        if isinstance(taken, Mapping):
            address = Path(str(taken.get("address", "")))
            if address.parent.name == run_name and address.name in seen:
                yield seen[address.name], str(taken.get("fingerprint", ""))


def line(err: BaseException) -> str:
    """An error in one line: its own words if it is ours, its kind too if it is not."""
    text = " ".join(str(err).split())
    return text if isinstance(err, StocktakeError) else f"{type(err).__name__}: {text}"
