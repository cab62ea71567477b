"""Trainer: what a training is made of, from its settings: photos, counter, plan, checkpoints."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from stocktake.schema.checkpoints import Checkpoint
    from stocktake.stages.train import TrainSettings
    from stocktake.store.shards import PhotoShards
    from stocktake.vision.backbones import Backbone
    from stocktake.vision.batches import Batches
    from stocktake.vision.counter import Counter
    from stocktake.vision.fitting import Figures, Plan
    from stocktake.vision.rows import Fold
    from stocktake.vision.world import World


LOOKS, LOOK_BATCH = 16, 64
"""Batches, and photos in each, that the statistics of norms are adapted to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What to train on and to judge by."""

    shards: "PhotoShards"
    train: "Fold"
    val: "Fold"
    max_count: int
    """Largest count the model can say."""
    left_out: int
    """Photos of the train fold above it."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Ready:
    """A training that can begin, or go on."""

    settings: "TrainSettings"
    """Those of this training: of several members each has its own seed."""
    folder: Path
    """Where its checkpoints go."""
    counter: "Counter"
    backbone: "Backbone"
    source: str
    """Where the first weights came from."""
    max_count: int
    plan: "Plan"
    train: "Batches"
    val: "Batches"
    threads: int
    """Threads for the arithmetic."""


def look_up(settings: "TrainSettings") -> None:
    """Look every part up on its shelf, with its options; nothing is read or trained.

    Raises:
        SettingsError: for an unknown part or option, with the nearest name.
    """
    from stocktake.vision.augments import augments
    from stocktake.vision.world import World

    counter, backbone = _untrained(settings, settings.max_count or 1)
    _plan(settings, counter, backbone, World())
    augments.make(settings.augment)


def data_of(
    photos: RunFolder, split: RunFolder, settings: "TrainSettings", run: RunFolder | None
) -> Data:
    """The photos of both folds; the run is warned of those that cannot be learnt from.

    Raises:
        DataError: if the split is of other photos, or a fold is empty.
    """
    from stocktake.schema import splits
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import read_table
    from stocktake.vision import rows

    shards = PhotoShards.open(photos.artifact("photos"))
    table = read_table(split.artifact("split.parquet"), format=splits.FORMAT)
    rows.check_same_photos(shards.photo_ids, table)
    listed, val = rows.fold(table, "train"), rows.fold(table, "val")
    max_count = settings.max_count or max(int(listed.counts.max()), 1)
    train = rows.within(listed, max_count)
    left_out = len(listed.photo_ids) - len(train.photo_ids)
    if left_out and run:
        run.warn(f"{left_out} photos of the train fold have a count above {max_count}: left out")
    return Data(shards=shards, train=train, val=val, max_count=max_count, left_out=left_out)


@contextmanager
def begun(
    settings: "TrainSettings",
    data: Data,
    run: RunFolder,
    *,
    member: int = 0,
    is_silent: bool = False,
) -> Iterator[Ready]:
    """A training where this process computes, as an earlier attempt left it.

    Args:
        settings: how to train.
        data: what on.
        run: where an earlier attempt may have left checkpoints; told what happens.
        member: of the trainings that are to answer as one, counted from 0.
        is_silent: the run is told nothing.

    Raises:
        SettingsError: for unknown parts or options, weights or a device that cannot be had.
    """
    from stocktake.vision import norms, weights, world

    folder = _folder_of(run, settings, member)
    settings = replace(settings, seed=settings.seed + member)
    with (
        world.borrowed(threads=settings.threads, seed=settings.seed),
        world.joined(
            device=settings.device, precision=settings.precision, is_compiled=settings.compiled
        ) as here,
    ):
        counter, backbone = _untrained(settings, data.max_count)
        source = weights.fill(backbone, settings.weights)
        if not is_silent:
            run.log("the backbone starts from these weights", source=source)
        here.place(counter)
        train, val, plain = _batches(settings, data, backbone, here)
        if settings.norms == "adapted":
            looks = islice(plain.epoch(1), LOOKS)
            norms.adapt(counter.backbone, (here.moved(batch.photos) for batch in looks))
        if settings.norms != "batch":
            counter.keep_norms()
        plan = _resumed(_plan(settings, counter, backbone, here, data.train), counter, folder)
        if plan.done or plan.midway:
            steps = f" and {plan.midway.batches} steps" if plan.midway else ""
            if not is_silent:
                run.log(f"going on after epoch {len(plan.done)}{steps}")
        yield Ready(
            settings=settings,
            folder=folder,
            counter=counter,
            backbone=backbone,
            source=source,
            max_count=data.max_count,
            plan=plan,
            train=train,
            val=val,
            threads=here.threads,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Fitted:
    """What came of a training."""

    history: list["Figures"]
    best: "Figures"
    parameters: int
    source: str
    side_px: int
    device: str
    precision: str
    estimated_s: float
    took_s: float


def fitted(
    settings: "TrainSettings",
    data: Data,
    run: RunFolder,
    *,
    member: int,
    should_stop: Callable[[], bool],
) -> Fitted:
    """Train one member from where an earlier attempt left it to its end.

    Raises:
        DataError: if the loss is not a finite number.
        KeyboardInterrupt: once `should_stop` says so; all is saved.
    """
    from stocktake.vision import estimate, fitting

    reporter = Reporter(run, member=member, members=settings.members)
    with begun(settings, data, run, member=member) as ready:
        for figures in ready.plan.done:
            reporter.epoch_end(figures)
        foreseen = estimate.of(ready.counter, ready.plan, train=ready.train, val=ready.val)
        run.log(f"about {said(foreseen.seconds)} to go", **asdict(foreseen))
        began = perf_counter()
        history = fitting.fit(
            ready.counter,
            replace(ready.plan, should_stop=should_stop),
            train=ready.train,
            val=ready.val,
            save=Saver(ready),
            watchers=[reporter],
        )
        took_s = perf_counter() - began
    run.log(f"took {said(took_s)}, {said(foreseen.seconds)} were foreseen")
    return Fitted(
        history=history,
        best=fitting.best_of(history, settings.better_by),
        parameters=sum(p.numel() for p in ready.counter.parameters()),
        source=ready.source,
        side_px=ready.backbone.side_px,
        device=ready.plan.world.device.type,
        precision="bfloat16" if ready.plan.world.is_bfloat16 else "float32",
        estimated_s=foreseen.seconds,
        took_s=took_s,
    )


def combined(settings: "TrainSettings", data: Data, run: RunFolder) -> tuple[float, float]:
    """Make one checkpoint of the members' best ones; its validation loss and accuracy."""
    from stocktake.vision import checkpoints, fitting

    folders = [
        checkpoints.best(_folder_of(run, settings, member)) for member in range(settings.members)
    ]
    with begun(settings, data, run, is_silent=True) as ready:
        together = checkpoints.together(folders)
        ready.plan.world.place(together)
        judged = fitting.assess(together, ready.plan.loss, ready.val, ready.plan.world)
        metrics = {"val_loss": judged.loss, "val_accuracy": judged.accuracy}
        if ready.plan.world.rank == 0:
            checkpoints.combine(folders, run.artifact("checkpoints"), metrics=metrics)
    return judged.loss, judged.accuracy


def said(seconds: float) -> str:
    """A time as people say it: 40 s, 12 min, 3 h 20 min."""
    minutes = round(seconds / 60)
    if seconds < 100:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60} min"


def _folder_of(run: RunFolder, settings: "TrainSettings", member: int) -> Path:
    """Where the checkpoints of a member lie; a training alone is the whole."""
    whole = run.path / "artifacts" / "checkpoints"
    return whole if settings.members == 1 else whole.with_name("members") / str(member + 1)


@contextmanager
def stopping() -> Iterator[Callable[[], bool]]:
    """Whether somebody asked to stop: the first SIGTERM or Ctrl-C waits for the step to be saved.

    A second one acts at once. In a thread signals never arrive, so nothing is changed there.
    """
    asked = threading.Event()
    if threading.current_thread() is not threading.main_thread():
        yield asked.is_set
        return
    before = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}

    def give_back() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    def ask(number: int, frame: object) -> None:
        asked.set()
        give_back()

    for number in before:
        signal.signal(number, ask)
    try:
        yield asked.is_set
    finally:
        give_back()


def _untrained(settings: "TrainSettings", max_count: int) -> tuple["Counter", "Backbone"]:
    """The counter with random weights, frozen as set; and the backbone in it."""
    from stocktake.vision import counter as counters

    backbone = counters.make_backbone(settings.backbone, side_px=settings.side_px)
    counter = counters.make_counter(backbone, settings.head, max_count=max_count)
    counter.freeze(counters.frozen_names(backbone, stages=settings.frozen_stages))
    return counter, backbone


def _plan(
    settings: "TrainSettings",
    counter: "Counter",
    backbone: "Backbone",
    here: "World",
    train: "Fold | None" = None,
) -> "Plan":
    from stocktake.vision import priors
    from stocktake.vision.averaging import Averaged
    from stocktake.vision.counter import parameter_groups
    from stocktake.vision.fitting import Plan
    from stocktake.vision.losses import losses
    from stocktake.vision.optimizers import optimizers
    from stocktake.vision.schedules import schedules

    groups = parameter_groups(
        counter,
        backbone_lr_scale=settings.backbone_lr_scale,
        layer_decay=settings.layer_decay,
        stages=backbone.stages,
    )
    loss = losses.make(settings.loss)
    if train:
        loss = priors.adjusted(
            loss,
            train.tally(),
            max_count=counter.max_count,
            strength=settings.prior_adjustment,
        )
    return Plan(
        loss=loss,
        optimizer=optimizers.make(settings.optimizer, groups=groups),
        schedule=schedules.make(settings.schedule),
        epochs=settings.epochs,
        patience=settings.patience,
        better_by=settings.better_by,
        clip_norm=settings.clip_norm,
        accumulate=settings.accumulate,
        mixup=settings.mixup,
        averaged=Averaged(counter, decay=settings.averaging) if settings.averaging else None,
        seed=settings.seed,
        world=here,
        save_every_s=settings.save_every_s,
    )


def _resumed(plan: "Plan", counter: "Counter", folder: Path) -> "Plan":
    """The plan after what an earlier attempt did, its weights in the counter."""
    from stocktake.vision import checkpoints
    from stocktake.vision.fitting import Figures, Midway

    found = checkpoints.resume(folder, counter)
    plan.world.agrees_on(False)  # nobody goes on, and writes, before all have read
    if found is None:
        return plan
    plan.optimizer.load_state_dict(found["optimizer"])
    if plan.averaged and found["averaged"]:
        plan.averaged.restore(found["averaged"])
    return replace(
        plan,
        done=[Figures(**row) for row in found["history"]],
        midway=Midway(**found["midway"]) if found["midway"] else None,
    )


def _batches(
    settings: "TrainSettings", data: Data, backbone: "Backbone", here: "World"
) -> tuple["Batches", "Batches", "Batches"]:
    """What to learn from, to judge by, and the train fold as it is, alike for all processes."""
    from stocktake.vision.augments import augments
    from stocktake.vision.batches import Batches
    from stocktake.vision.counter import preprocessing_of
    from stocktake.vision.order import Order
    from stocktake.vision.pixels import Pixels

    pixels = Pixels(
        data.shards,
        [*data.train.photo_ids, *data.val.photo_ids],
        side_px=backbone.side_px,
        cache_bytes=int(settings.cache_gb * 1e9),
    )
    augment = augments.make(settings.augment)
    here_only = (here.rank, here.ranks)
    train, val, plain = (
        Batches(
            pixels,
            fold,
            Order(
                len(fold.photo_ids),
                batch_size=size,
                seed=settings.seed,
                is_shuffled=fold is data.train,
                share=share,
            ),
            preprocessing=preprocessing_of(backbone),
            augment=change,
            workers=settings.workers,
        )
        for fold, size, share, change in (
            (data.train, settings.batch_size, here_only, augment),
            (data.val, settings.batch_size, here_only, None),
            (data.train, LOOK_BATCH, (0, 1), None),
        )
    )
    return train, val, plain


class Saver:
    """Keeps the checkpoints of a training; of several processes the first one does."""

    def __init__(self, ready: Ready) -> None:
        from stocktake.vision.checkpoints import Keeper
        from stocktake.vision.fitting import best_of

        self._settings, self._ready = ready.settings, ready
        done: Sequence[Figures] = ready.plan.done
        self._keeper = (
            Keeper(
                ready.folder,
                goes_on=bool(done or ready.plan.midway),
                best=best_of(done, ready.settings.better_by).epoch if done else None,
            )
            if ready.plan.world.rank == 0
            else None
        )

    def epoch(self, figures: "Figures", is_best: bool, trainer: dict[str, Any]) -> None:
        """Keep a finished epoch."""
        if self._keeper:
            metrics = {"val_loss": figures.val_loss, "val_accuracy": figures.val_accuracy}
            about = self._about(figures.epoch, figures.step, metrics)
            self._keeper.save(self._ready.counter, about, trainer=trainer, is_best=is_best)

    def midway(self, epochs: int, step: int, trainer: dict[str, Any]) -> None:
        """Keep what it takes to go on in the middle of an epoch."""
        if self._keeper:
            about = self._about(epochs, step, {})
            self._keeper.save_midway(self._ready.counter, about, trainer=trainer)

    def _about(self, epoch: int, step: int, metrics: dict[str, float]) -> "Checkpoint":
        from stocktake.schema.checkpoints import Checkpoint
        from stocktake.vision.counter import preprocessing_of

        return Checkpoint(
            epoch=epoch,
            step=step,
            backbone=self._settings.backbone,
            head=self._settings.head,
            max_count=self._ready.max_count,
            preprocessing=preprocessing_of(self._ready.backbone).to_dict(),
            weights_source=self._ready.source,
            metrics=metrics,
            seed=self._settings.seed,
        )


class Reporter:
    """Watcher that tells the run folder.

    Args:
        run: is told.
        member: of several trainings, counted from 0; the names of the others' metrics have their
            number behind them, as in val_loss.2.
        members: trainings in all.
    """

    def __init__(self, run: RunFolder, *, member: int = 0, members: int = 1) -> None:
        self._run = run
        self._member, self._members = member, members
        self._steps = 0

    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Training begins."""
        self._steps = steps

    def phase(self, step: int, name: str) -> None:
        """Nothing is told of phases."""

    def step_end(self, step: int, loss: float) -> None:
        """Say how far it is."""
        done = self._member * self._steps + step + 1
        self._run.progress(done, self._members * self._steps, "steps")

    def epoch_end(self, figures: "Figures") -> None:
        """Say what the epoch brought."""
        values = asdict(figures)
        epoch, _ = values.pop("epoch"), values.pop("step")
        behind = f".{self._member + 1}" if self._member else ""
        self._run.metric(epoch, **{f"{name}{behind}": value for name, value in values.items()})

    def stop(self) -> None:
        """Nothing is told of the end."""
