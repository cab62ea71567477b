"""Trainer: what a training is made of, from its settings: photos, counter, plan, checkpoints."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
from time import perf_counter
from typing import TYPE_CHECKING

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn

    from stocktake.stages.train import TrainSettings
    from stocktake.store.shards import PhotoShards
    from stocktake.vision.augments import Augment
    from stocktake.vision.backbones import Backbone
    from stocktake.vision.batches import Batches, Feed
    from stocktake.vision.counter import Counter
    from stocktake.vision.fitting import Figures, Plan
    from stocktake.vision.order import Order
    from stocktake.vision.rows import Fold
    from stocktake.vision.world import World

    Source = Callable[..., Batches]
    """(fold, order, augment or None) -> batches."""


LOOKS, LOOK_BATCH = 16, 64
"""Batches, and photos in each, that the statistics of norms are adapted to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Data:
    """What to train on and to judge by."""

    photos: str
    """Fingerprint of the photos."""
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
    learner: "nn.Module"
    """What is trained: the counter, or its head alone on features that are kept."""
    backbone: "Backbone"
    source: str
    """Where the first weights came from."""
    max_count: int
    plan: "Plan"
    train: "Feed"
    val: "Feed"
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
    within = rows.within(listed, max_count)
    left_out = len(listed.photo_ids) - len(within.photo_ids)
    train = rows.limited(within, settings.limit, table)
    if left_out and run:
        run.warn(f"{left_out} photos of the train fold have a count above {max_count}: left out")
    return Data(
        photos=photos.fingerprint,
        shards=shards,
        train=train,
        val=val,
        max_count=max_count,
        left_out=left_out,
    )


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
        settings, data: how to train, and what on.
        run: where an earlier attempt may have left checkpoints; told what happens unless silent.
        member: of the trainings that are to answer as one, counted from 0.

    Raises:
        SettingsError: for unknown parts or options, weights or a device that cannot be had.
    """
    from stocktake.stages import probe
    from stocktake.vision import weights, world

    settings = replace(settings, seed=settings.seed + member)
    with (
        world.borrowed(threads=settings.threads, seed=settings.seed),
        world.joined(
            device=settings.device, precision=settings.precision, is_compiled=settings.compiled
        ) as here,
    ):
        counter, backbone = _untrained(settings, data.max_count)
        weights_source = weights.fill(backbone, settings.weights)
        here.place(counter)
        source = _source_of(settings, data, backbone)
        if settings.norms == "adapted":
            _adapt(settings, data, source, counter)
        if settings.norms != "batch":
            counter.keep_norms()
        folder = _folder_of(run, settings, member)
        plan = _resumed(_plan(settings, counter, backbone, here, data.train), counter, folder)
        if not is_silent:
            _say_where_it_starts(weights_source, plan, run)
        feeds: tuple[Feed, Feed] = (
            probe.batches(settings, data, source, counter, here, run)
            if is_probe(settings)
            else _batches(settings, data, source, here)
        )
        yield Ready(
            settings=settings,
            folder=folder,
            counter=counter,
            learner=counter.head if is_probe(settings) else counter,
            backbone=backbone,
            source=weights_source,
            max_count=data.max_count,
            plan=plan,
            train=feeds[0],
            val=feeds[1],
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
        SettingsError: for an unknown rule.
        DataError: if the loss is not a finite number.
        KeyboardInterrupt: once `should_stop` says so; all is saved.
    """
    from stocktake.stages import training_run, watching
    from stocktake.vision import estimate, fitting

    reporter = training_run.Reporter(run, member=member, members=settings.members)
    with begun(settings, data, run, member=member) as ready:
        for figures in ready.plan.done:
            reporter.epoch_end(figures)
        foreseen = estimate.of(ready.learner, ready.plan, train=ready.train, val=ready.val)
        run.log(f"about {said(foreseen.seconds)} to go", **asdict(foreseen))
        watch = watching.Watch(ready, run, member=member)
        began = perf_counter()
        history = fitting.fit(
            ready.learner,
            replace(ready.plan, should_stop=should_stop, is_enough=watch.is_enough),
            train=ready.train,
            val=ready.val,
            save=training_run.Saver(ready),
            watchers=[reporter, *watch.watchers],
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
        val = _batches(
            settings, data, _source_of(settings, data, ready.backbone), ready.plan.world
        )[1]
        judged = fitting.assess(together, ready.plan.loss, val, ready.plan.world)
        metrics = {"val_loss": judged.loss, "val_accuracy": judged.accuracy}
        if ready.plan.world.rank == 0:
            checkpoints.combine(
                together, run.artifact("checkpoints"), like=folders[0], metrics=metrics
            )
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


def _source_of(settings: "TrainSettings", data: Data, backbone: "Backbone") -> "Source":
    """Makes batches of the folds, all from the same decoded photos."""
    from stocktake.vision.batches import Batches
    from stocktake.vision.counter import preprocessing_of
    from stocktake.vision.pixels import Pixels

    pixels = Pixels(
        data.shards,
        [*data.train.photo_ids, *data.val.photo_ids],
        side_px=backbone.side_px,
        cache_bytes=int(settings.cache_gb * 1e9),
    )

    def batches(fold: "Fold", order: "Order", augment: "Augment | None" = None) -> "Batches":
        return Batches(
            pixels,
            fold,
            order,
            preprocessing=preprocessing_of(backbone),
            augment=augment,
            workers=settings.workers,
        )

    return batches


def is_probe(settings: "TrainSettings") -> bool:
    """Whether the head alone is trained, on features that are kept."""
    return settings.frozen_stages < 0


def _say_where_it_starts(weights: str, plan: "Plan", run: RunFolder) -> None:
    run.log("the backbone starts from these weights", source=weights)
    if plan.done or plan.midway:
        steps = f" and {plan.midway.batches} steps" if plan.midway else ""
        run.log(f"going on after epoch {len(plan.done)}{steps}")


def _batches(
    settings: "TrainSettings", data: Data, source: "Source", here: "World"
) -> tuple["Batches", "Batches"]:
    """What to learn from, and what to judge by: this process's share."""
    from stocktake.vision.augments import augments
    from stocktake.vision.order import Order

    train, val = (
        Order(
            len(fold.photo_ids),
            batch_size=settings.batch_size,
            seed=settings.seed,
            is_shuffled=fold is data.train,
            share=(here.rank, here.ranks),
        )
        for fold in (data.train, data.val)
    )
    return source(data.train, train, augments.make(settings.augment)), source(data.val, val)


def _adapt(settings: "TrainSettings", data: Data, source: "Source", counter: "Counter") -> None:
    """Set the statistics of the norms to those of train photos, the same for every process."""
    from stocktake.vision import norms
    from stocktake.vision.order import Order

    order = Order(
        len(data.train.photo_ids), batch_size=LOOK_BATCH, seed=settings.seed, is_shuffled=True
    )
    device = next(counter.parameters()).device
    looks = islice(source(data.train, order).epoch(1), LOOKS)
    norms.adapt(counter.backbone, (batch.photos.to(device) for batch in looks))
