"""Tune: search for better training settings; a driver, that sends train jobs and reads metrics."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import TYPE_CHECKING, Any, Literal

import tomli_w

from stocktake.errors import SettingsError, StocktakeError, nearest
from stocktake.parts import Part
from stocktake.runs import journal
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Engine, Job
from stocktake.stages import table
from stocktake.stages.follow import Follower
from stocktake.tune import space as spaces

if TYPE_CHECKING:
    from stocktake.tune.study import Outcome, Study

FORMAT = "tune/1"
FAILURES = 3
"""A search ends when so many trials have failed and none has finished."""
RISES, FALLS = ("accuracy", "photos_per_s"), ("loss", "seconds", "wait_s")
"""Endings of metrics that are better when higher, and when lower."""


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneSettings:
    """What to search, how, and for how long."""

    trials: int = 5
    """Trials in all, 1 or more; failed ones count, those cut off by a kill do not."""
    space: str | dict[str, Any] = "report"
    """Name of a space, or a table: "train.NAME" = { low, high, scale } or { choices }."""
    sampler: Part = "gp"
    """Sampler from the shelf."""
    stopper: Part = "none"
    """Stopper from the shelf; it ends trials that are not worth their epochs."""
    metric: str = "val_loss"
    """Metric of train to search by; a trial's value is its best over the epochs."""
    direction: Literal["minimize", "maximize"] = "minimize"
    """Which end of the metric is the good one."""
    fixed: dict[str, Any] = field(default_factory=dict)
    """Train settings for trials only, such as epochs = 1; a named space does not search them."""
    seed: int = 0
    """Seed of the search; training keeps its own, train.seed."""

    def __post_init__(self) -> None:
        for name, least in (("trials", 1), ("seed", 0)):
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        other = {"minimize": "maximize", "maximize": "minimize"}[self.direction]
        if self.metric.endswith(RISES if self.direction == "minimize" else FALLS):
            raise ValueError(
                f'direction must be "{other}" for the metric {self.metric}, got "{self.direction}"'
            )
        search_space(self)


@dataclass(frozen=True, kw_only=True, slots=True)
class TuneResult:
    """What the search found."""

    trials: int
    """Trials that count: done, stopped and failed ones."""
    failed: int
    """Those that failed."""
    stopped: int
    """Those that the stopper ended."""
    best_trial: int
    """Number of the best one, counted from 0."""
    best_value: float
    """Its value of the metric."""
    best_params: dict[str, Any]
    """Its settings, by dotted name."""
    seconds: float
    """What all trials took together."""


def check(settings: TuneSettings) -> None:
    """Look sampler and stopper up on their shelves, with their options.

    Raises:
        SettingsError: for an unknown part or option, with the nearest name.
    """
    from stocktake.tune.samplers import samplers
    from stocktake.tune.stoppers import stoppers

    samplers.make(settings.sampler, seed=settings.seed)
    stoppers.make(settings.stopper, direction=settings.direction)


def tune(
    *,
    photos: RunFolder,
    split: RunFolder,
    settings: TuneSettings,
    run: RunFolder,
    engine: Engine,
    train_settings: dict[str, Any],
) -> TuneResult:
    """Search the space with train jobs on `engine`; continues a search that was cut off.

    Args:
        photos: run of ingest.
        split: run of split.
        settings: what to search.
        run: the folder of the search; trials lie in its trials/.
        engine: who carries the trials.
        train_settings: the table that trials start from.

    Raises:
        SettingsError: for a space or metric that train does not have.
        StocktakeError: the first trial's own error, if all fail.
    """
    from stocktake.tune.stoppers import stoppers

    space = search_space(settings)
    unwatched = reader.merge(reader.resolved(_train()()), {"record_every": 0, "profile": False})
    base = reader.merge(unwatched, train_settings)
    start = reader.merge(base, settings.fixed)
    _check_ends(space, start)
    stopper = stoppers.make(settings.stopper, direction=settings.direction)
    study = _open(settings, space, run, {"photos": photos.fingerprint, "split": split.fingerprint})
    inputs = {"photos": str(photos.path), "split": str(split.path)}
    follower = Follower(
        engine, run, metric=settings.metric, direction=settings.direction, stopper=stopper
    )
    errors: list[StocktakeError] = []
    while len(earlier := study.outcomes()) < settings.trials:
        run.progress(len(earlier), settings.trials, "trials")
        trial = study.ask()
        job = Job(
            stage="train",
            settings=with_params(start, trial.params),
            inputs=inputs,
            output=str(run.path / "trials" / f"{trial.number:04d}" / "train"),
        )
        ended = follower.carry_out(job, [one.history for one in earlier if one.state != "failed"])
        errors += [ended.error] if ended.error else []
        _say(run, study.tell(trial, **ended.told()))
        _write_report(run, settings, study)
        _check_hope(study.outcomes(), errors, settings.trials)
    _write_report(run, settings, study)  # again: a kill may have come before the last one
    run.progress(settings.trials, settings.trials, "trials")
    _write_best(run, study, base)
    return _result(study)


def search_space(settings: TuneSettings) -> spaces.Space:
    """The space that the settings describe, without what they fix.

    Raises:
        SettingsError: if it is empty, contradicts itself, or names what train does not have.
    """
    space = spaces.read(settings.space, where="tune.space")
    fixed = _dotted(settings.fixed)
    _check_names(space, "tune.space")
    _check_names(fixed, "tune.fixed")
    twice = [name for name in space if name in fixed]
    if twice and not isinstance(settings.space, str):
        raise SettingsError(f"tune.space and tune.fixed both have '{twice[0]}'; keep one of them")
    free = {name: space[name] for name in space if name not in fixed}
    if not free:
        raise SettingsError("tune.fixed holds all that tune.space would search; free one of them")
    return free


def with_params(train: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    """The train table with values over it; a part's name goes first, its options after it.

    Args:
        train: the train table.
        params: values by dotted name, as "train.optimizer.lr".
    """
    tables: dict[str, Any] = {"train": dict(train)}
    for name in sorted(params, key=lambda name: name.count(".")):
        value = params[name]
        for key in reversed(name.split(".")):
            value = {key: value}
        tables = reader.merge(tables, value)
    return dict(tables["train"])


def _train() -> type:
    return table.find("train").load().settings


def _open(
    settings: TuneSettings, space: spaces.Space, run: RunFolder, about: Mapping[str, str]
) -> "Study":
    from stocktake.tune.study import Study

    study = Study.open(
        run.artifact("journal.log"),
        space=space,
        direction=settings.direction,
        sampler=settings.sampler,
        seed=settings.seed,
        about={"metric": settings.metric, **about},
    )
    if study.cut_off:
        run.warn(f"trials cut off earlier, not counted and done again: {study.cut_off}")
    if study.set_aside:
        run.warn(f"trials that all failed earlier, done again: {study.set_aside}")
    return study


def _dotted(fixed: Mapping[str, Any], above: str = "train") -> set[str]:
    """Dotted names of the values in a table."""
    names: set[str] = set()
    for key, value in fixed.items():
        name = f"{above}.{key}"
        names |= _dotted(value, name) if isinstance(value, Mapping) and value else {name}
    return names


def _check_names(names: Iterable[str], where: str) -> None:
    known = [one.name for one in fields(_train())]
    for name in names:
        stage, _, setting = name.partition(".")
        if stage != "train":
            raise SettingsError(
                f"{where}: only train can be searched, as in 'train.batch_size', got '{name}'"
            )
        if (setting := setting.split(".")[0]) not in known:
            hint = nearest(setting, known)
            raise SettingsError(f"{where}: '{name}' is not a setting of train; {hint}")


def _check_ends(space: spaces.Space, start: Mapping[str, Any]) -> None:
    """Build train's settings at the ends of each dimension, so that no trial is refused later."""
    for name, dimension in space.items():
        for end in dimension.ends():
            try:
                reader.build(_train(), with_params(start, {name: end}), where="train")
            except SettingsError as err:
                raise SettingsError(f"tune.space '{name}' goes too far: {err}") from err


def _say(run: RunFolder, outcome: "Outcome") -> None:
    facts = {"params": outcome.params, "value": outcome.value, "seconds": outcome.seconds}
    if outcome.state == "failed":
        run.warn(f"trial {outcome.number} failed: {outcome.error}", **facts)
    else:
        run.log(f"trial {outcome.number} is {outcome.state}", **facts)


def _check_hope(outcomes: "list[Outcome]", errors: list[StocktakeError], trials: int) -> None:
    """Raise the first error once enough trials have failed and none has finished."""
    if len(errors) < len(outcomes) or len(outcomes) < min(FAILURES, trials):
        return
    raise type(errors[0])(f"all {len(outcomes)} trials failed; the first: {errors[0]}")


def _write_report(run: RunFolder, settings: TuneSettings, study: "Study") -> None:
    best = study.best()
    row = {
        "format": FORMAT,
        "metric": settings.metric,
        "direction": settings.direction,
        "space": spaces.plain(search_space(settings)),
        "trials": [asdict(one) for one in study.outcomes()],
        "best": best and {"number": best.number, "params": best.params, "value": best.value},
    }
    text = json.dumps(row, indent=2, ensure_ascii=False)
    journal.write_whole(run.artifact("tune.json"), text + "\n")


def _write_best(run: RunFolder, study: "Study", base: Mapping[str, Any]) -> None:
    """best.toml: the searched settings at their best, parts whole; without what was fixed."""
    best = study.best()
    assert best is not None and best.params
    tuned = with_params(base, best.params)
    searched = sorted({name.split(".")[1] for name in best.params})
    rows = {"train": {name: tuned[name] for name in searched}}
    journal.write_whole(run.artifact("best.toml"), tomli_w.dumps(rows))


def _result(study: "Study") -> TuneResult:
    outcomes, best = study.outcomes(), study.best()
    assert best is not None and best.value is not None
    return TuneResult(
        trials=len(outcomes),
        failed=sum(one.state == "failed" for one in outcomes),
        stopped=sum(one.state == "stopped" for one in outcomes),
        best_trial=best.number,
        best_value=best.value,
        best_params=best.params,
        seconds=round(sum(one.seconds for one in outcomes), 3),
    )
