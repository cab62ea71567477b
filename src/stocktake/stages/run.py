"""Run: walk the stages of a settings file in order, skipping those already done."""

import time
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import Any, Literal, TypeAlias

from stocktake.errors import SettingsError, by_name, nearest
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Engine, Job, Resources
from stocktake.stages import table, worker

POLL_S = 0.1
"""How often a job's status is asked for, seconds."""

Moment: TypeAlias = Literal["start", "tick", "done", "skip"]
Watch: TypeAlias = Callable[[Moment, str, RunFolder], None]
"""Told what happens to a stage: moment, stage, its run."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """A settings file, read: which run it is, and the table of every stage it names."""

    name: str
    folder: Path
    tables: Mapping[str, Mapping[str, Any]]
    sets: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    inputs: Mapping[str, str] = field(default_factory=dict)
    plugins: tuple[str, ...] = ()

    @property
    def path(self) -> Path:
        """The run's folder, one folder per stage in it."""
        return self.folder / self.name

    def stages(self) -> list[table.Stage]:
        """The stages the file names, in the order of the way."""
        named = set(self.tables) | set(self.sets)
        return [stage for stage in table.STAGES if stage.name in named]

    def table_of(self, stage: str) -> dict[str, Any]:
        """A stage's table: the file's, over it what tuning found best, over it --set."""
        below = dict(self.tables.get(stage, {}))
        if stage == "train" and "tune" in self.tables:
            below = reader.merge(below, self._best())
        return reader.merge(below, self.sets.get(stage, {}))

    def untuned(self) -> dict[str, Any]:
        """The train table before tuning: what the trials start from."""
        return reader.merge(self.tables.get("train", {}), self.sets.get("train", {}))

    def job(self, stage: table.Stage) -> Job:
        """The job that makes this stage of the run."""
        inputs = {thing: self._address_of(thing) for thing in stage.inputs(self.inputs)}
        settings = self.table_of(stage.name)
        return Job(
            stage=stage.name,
            settings=settings,
            inputs=inputs,
            output=str(self.path / stage.name),
            resources=Resources(processes=int(settings.get("processes", 1))),
            plugins=self.plugins,
        )

    def _address_of(self, thing: str) -> str:
        """Where a stage's input lies; a run may be given by its name, its folder or its stage's."""
        stage, given = table.giver(thing).name, self.inputs.get(thing)
        if not given:
            return str(self.path / stage)
        places = (Path(given), Path(given) / stage, self.path.parent / given / stage)
        return str(next((place for place in places if RunFolder(place).exists()), places[0]))

    def _best(self) -> dict[str, Any]:
        """The [train] table in tune's best.toml; empty while tuning has not finished."""
        run = RunFolder(self.path / "tune")
        if not run.exists() or run.status != "done":
            return {}
        best = run.path / "artifacts" / "best.toml"
        return dict(tomllib.loads(best.read_text(encoding="utf-8")).get("train", {}))


def read_plan(
    path: Path | None,
    *,
    sets: Iterable[str] = (),
    name: str = "",
    inputs: Mapping[str, str] | None = None,
) -> Plan:
    """The plan in a settings file, with `--set` words over it.

    Args:
        path: the settings file; None for defaults only.
        sets: words such as `split.test_frac=0.1`.
        name: the run's name, over the file's.
        inputs: address of a run to take an input from, by the input's name.

    Raises:
        SettingsError: for unknown keys, unknown tables or values a stage refuses.
    """
    tables = reader.read_file(path) if path else {}
    above = reader.parse_set(sets)
    top = reader.merge(_top(tables), _top(above))
    for key, value in [*tables.items(), *above.items()]:
        _check_key(key, value, path)
    where = path.stem if path else "default"
    plan = Plan(
        name=name or str(top.get("name", where)),
        folder=Path(top.get("folder", "runs")),
        plugins=tuple(top.get("plugins", ())),
        tables={k: v for k, v in tables.items() if k not in reader.TOP_KEYS},
        sets={k: v for k, v in above.items() if k not in reader.TOP_KEYS},
        inputs=inputs or {},
    )
    _check_name(plan.name)
    for stage in plan.stages():
        reader.build(stage.load().settings, plan.table_of(stage.name), where=stage.name)
    return plan


def _top(tables: Mapping[str, Any]) -> dict[str, Any]:
    top = {key: value for key, value in tables.items() if key in reader.TOP_KEYS}
    for key, value in top.items():
        kind = reader.TOP_KEYS[key]
        if not isinstance(value, kind):
            raise SettingsError(f"{key} must be {kind.__name__}, got {value!r}")
    return top


def _check_key(key: str, value: Any, path: Path | None) -> None:
    known = [*table.names(), *reader.TOP_KEYS]
    if key not in known:
        raise SettingsError(f"{path or '--set'}: '{key}' is not a table; {nearest(key, known)}")
    if key not in reader.TOP_KEYS and not isinstance(value, Mapping):
        raise SettingsError(f"{key} must be a table, as in [{key}], got {value!r}")


def _check_name(name: str) -> None:
    if not name or name.startswith(".") or "/" in name or "\\" in name:
        raise SettingsError(f"name must be a plain folder name as in 'demo', got '{name}'")


def check_parts(plan: Plan) -> None:
    """Look up every part the plan names, before anything runs.

    Where the libraries of a part are not installed nothing is looked up: the plan may be meant
    for another machine.

    Raises:
        SettingsError: for an unknown part or option, with the nearest name.
    """
    for stage in plan.stages():
        parts = stage.load()
        if parts.check is None:
            continue
        settings: Any = reader.build(parts.settings, plan.table_of(stage.name), where=stage.name)
        with suppress(ModuleNotFoundError):
            worker.import_plugins(plan.plugins)
            parts.check(settings)


def make(
    plan: Plan,
    stage: table.Stage,
    engine: Engine,
    *,
    watch: Watch,
    first: Callable[[], None] | None = None,
) -> RunFolder:
    """Make one stage of the run, or leave it as it is when it is done and still holds.

    Args:
        plan: the run.
        stage: one of its stages.
        engine: who carries the job.
        watch: told what happens.
        first: called before the stage starts, if it has to be made.

    Raises:
        StocktakeError: of the class the stage raised, wherever it ran.
    """
    job = plan.job(stage)
    context = plan.untuned() if stage.is_driver else None
    run = RunFolder(Path(job.output))
    if worker.prepare(job, context=context).is_done():
        watch("skip", stage.name, run)
        return run
    if first:
        first()
    watch("start", stage.name, run)
    if stage.is_driver:
        _drive(job, engine, context=context, watch=watch)
    else:
        _send(job, engine, watch=watch)
    watch("done", stage.name, run)
    return RunFolder.open(job.output)


def estimate(plan: Plan, stage: table.Stage) -> dict[str, Any]:
    """What it will take to make one stage of the run, measured here; nothing is written.

    Raises:
        SettingsError: if the stage cannot say.
        StocktakeError: for settings or inputs that it refuses.
    """
    job = plan.job(stage)
    measured = stage.load().estimate
    if measured is None:
        raise SettingsError(f"{stage.name} cannot be estimated")
    ready = worker.prepare(job)
    run = RunFolder(ready.path)
    if run.exists() and run.fingerprint != ready.fingerprint:  # it would be moved aside
        run = RunFolder(ready.path.with_name(f".{ready.path.name}.new"))
    return dict(measured(**ready.inputs, settings=ready.settings, run=run))


def _drive(job: Job, engine: Engine, *, context: Any, watch: Watch) -> None:
    """Run a driver here: it sends jobs to the engine itself."""
    run = RunFolder(Path(job.output))
    extra = {"engine": engine, "train_settings": context}
    worker.run_job(
        job, extra=extra, context=context, listener=lambda *_: watch("tick", job.stage, run)
    )


def _send(job: Job, engine: Engine, *, watch: Watch) -> None:
    """Send a job and wait for its end; a failed one raises its own error."""
    run = RunFolder(Path(job.output))
    job_id = engine.submit(job)
    try:
        while (status := engine.status(job_id)) in ("waiting", "running"):
            watch("tick", job.stage, run)
            time.sleep(POLL_S)
    except KeyboardInterrupt:
        engine.stop(job_id)
        while engine.status(job_id) in ("waiting", "running"):
            time.sleep(POLL_S)
        raise
    if status == "stopped":
        raise KeyboardInterrupt
    if status == "failed":
        error = RunFolder.open(job.output).info()["error"]
        raise by_name(error["kind"], error["message"])


def run(plan: Plan, engine: Engine, *, watch: Watch) -> Iterator[RunFolder]:
    """Make every stage the plan names, in order; yields each finished run.

    Raises:
        SettingsError: if the plan names no stage.
        StocktakeError: of the first stage that fails; what was done stays done.
    """
    stages = plan.stages()
    if not stages:
        raise SettingsError(
            f"the settings of run '{plan.name}' name no stage; add a table such as [ingest]"
        )
    check_once = cache(partial(check_parts, plan))
    for stage in stages:
        yield make(plan, stage, engine, watch=watch, first=check_once)
