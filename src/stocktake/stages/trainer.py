"""Trainer: what a training is made of, from its settings: photos, counter, plan, checkpoints."""

import signal
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from itertools import islice
from pathlib import Path
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
    settings: "TrainSettings", data: Data, run: RunFolder | None, *, past: RunFolder | None = None
) -> Iterator[Ready]:
    """A training where this process computes, as an earlier attempt left it.

    Args:
        settings: how to train.
        data: what on.
        run: told what happens; None tells nobody.
        past: where an earlier attempt may have left checkpoints, if it is not `run`.

    Raises:
        SettingsError: for unknown parts or options, weights or a device that cannot be had.
    """
    from stocktake.vision import norms, weights, world

    with (
        world.borrowed(threads=settings.threads, seed=settings.seed),
        world.joined(
            device=settings.device, precision=settings.precision, is_compiled=settings.compiled
        ) as here,
    ):
        counter, backbone = _untrained(settings, data.max_count)
        source = weights.fill(backbone, settings.weights)
        if run:
            run.log("the backbone starts from these weights", source=source)
        here.place(counter)
        train, val, plain = _batches(settings, data, backbone, here)
        if settings.norms == "adapted":
            looks = islice(plain.epoch(1), LOOKS)
            norms.adapt(counter.backbone, (here.moved(batch.photos) for batch in looks))
        if settings.norms != "batch":
            counter.keep_norms()
        plan = _resumed(_plan(settings, counter, backbone, here, data.train), counter, run, past)
        yield Ready(
            counter=counter,
            backbone=backbone,
            source=source,
            max_count=data.max_count,
            plan=plan,
            train=train,
            val=val,
            threads=here.threads,
        )


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


def _resumed(
    plan: "Plan", counter: "Counter", run: RunFolder | None, past: RunFolder | None
) -> "Plan":
    """The plan after what an earlier attempt did; the metrics of its epochs are said again."""
    from stocktake.vision import checkpoints
    from stocktake.vision.fitting import Figures, Midway

    if run:
        run.forget_metrics()
    folder = past or run
    found = (
        checkpoints.resume(folder.path / "artifacts" / "checkpoints", counter) if folder else None
    )
    plan.world.agrees_on(False)  # nobody goes on, and writes, before all have read
    if found is None:
        return plan
    plan.optimizer.load_state_dict(found["optimizer"])
    if plan.averaged and found["averaged"]:
        plan.averaged.restore(found["averaged"])
    done = [Figures(**row) for row in found["history"]]
    midway = Midway(**found["midway"]) if found["midway"] else None
    if run:
        reporter = Reporter(run)
        for figures in done:
            reporter.epoch_end(figures)
        more = f" and {midway.batches} steps" if midway else ""
        run.log(f"going on after epoch {len(done)}{more}", epochs_kept=len(done))
    return replace(plan, done=done, midway=midway)


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
    """Keeps the checkpoints of a training; of several processes the first one does.

    Args:
        folder: of the checkpoints.
        settings: how it was trained.
        ready: what is trained.
    """

    def __init__(self, folder: Path, settings: "TrainSettings", ready: Ready) -> None:
        from stocktake.vision.checkpoints import Keeper
        from stocktake.vision.fitting import best_of

        self._settings, self._ready = settings, ready
        done: Sequence[Figures] = ready.plan.done
        self._keeper = (
            Keeper(
                folder,
                goes_on=bool(done or ready.plan.midway),
                best=best_of(done, settings.better_by).epoch if done else None,
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
    """Watcher that tells the run folder."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._steps = 0

    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Training begins."""
        self._steps = steps

    def phase(self, step: int, name: str) -> None:
        """Nothing is told of phases."""

    def step_end(self, step: int, loss: float) -> None:
        """Say how far it is."""
        self._run.progress(step + 1, self._steps, "steps")

    def epoch_end(self, figures: "Figures") -> None:
        """Say what the epoch brought."""
        values = asdict(figures)
        epoch, _ = values.pop("epoch"), values.pop("step")
        self._run.metric(epoch, **values)

    def stop(self) -> None:
        """Nothing is told of the end."""
