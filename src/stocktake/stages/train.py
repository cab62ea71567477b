"""Train: fit a counter on the train fold, keep the epoch with the best validation loss."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

from stocktake.errors import SettingsError
from stocktake.parts import Part
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from stocktake.store.shards import PhotoShards
    from stocktake.vision.backbones import Backbone
    from stocktake.vision.batches import Batches
    from stocktake.vision.counter import Counter
    from stocktake.vision.fitting import Figures, Plan, Save
    from stocktake.vision.rows import Fold


PACE = ("workers",)


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainSettings:
    """How to train; parts are names, or tables with a name and options."""

    backbone: Part = "tf_efficientnet_lite0"
    """Backbone from the shelf, or the name of any timm model."""
    weights: str = "pretrained"
    """What the backbone starts from: "pretrained", "none" (random) or a weights file."""
    head: Part = "softmax"
    """Head from the shelf."""
    loss: Part = "cross-entropy"
    """Loss from the shelf."""
    augment: Part = "standard"
    """Random change of training photos, from the shelf."""
    optimizer: Part = field(default_factory=lambda: {"name": "adamw", "lr": 1e-3})
    """Optimizer from the shelf; `lr` is its highest learning rate."""
    schedule: Part = "cosine"
    """Course of the learning rate, from the shelf."""
    side_px: int = 0
    """Side of the squared photos in pixels, 32 to 1024; 0 takes the backbone's own."""
    epochs: int = 5
    """Times through the train fold, 1 or more."""
    batch_size: int = 32
    """Photos per step, 2 or more."""
    max_count: int = 0
    """Largest count the model can say; 0 takes the largest in the train fold."""
    backbone_lr_scale: float = 1.0
    """Backbone's share of the learning rate, above 0 to 1."""
    frozen_stages: int = 0
    """Leading stages of the backbone kept as they are (faster); -1 trains the head alone."""
    clip_norm: float = 0.0
    """Largest norm of the gradient, 0 for any."""
    patience: int = 0
    """Epochs without a better validation loss before stopping; 0 never stops early."""
    seed: int = 0
    """Seed of first weights, order, augmentation and dropout."""
    threads: int = 0
    """Threads for the arithmetic; 0 takes the number torch finds right."""
    workers: int = 0
    """Threads that make batches; 0 for one per core. Batches do not depend on it."""
    cache_gb: float = 2.0
    """Memory for decoded photos in gigabytes; if they do not all fit, each epoch decodes again."""

    def __post_init__(self) -> None:
        lowest = {"epochs": 1, "batch_size": 2, "max_count": 0, "patience": 0}
        for name, least in {
            **lowest,
            "threads": 0,
            "workers": 0,
            "clip_norm": 0,
            "cache_gb": 0,
            "seed": 0,
        }.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        if self.side_px != 0 and not 32 <= self.side_px <= 1024:
            raise ValueError(f"side_px must be 0 or between 32 and 1024, got {self.side_px}")
        if not 0 < self.backbone_lr_scale <= 1:
            raise ValueError(
                f"backbone_lr_scale must be above 0 and at most 1, got {self.backbone_lr_scale};"
                " frozen_stages = -1 trains the head alone"
            )
        if self.frozen_stages < -1:
            raise ValueError(f"frozen_stages must be -1 or more, got {self.frozen_stages}")


@dataclass(frozen=True, kw_only=True, slots=True)
class TrainResult:
    """What came of it; val_loss and val_accuracy are those of the best epoch."""

    best_epoch: int
    """Epoch whose weights are kept, counted from 1."""
    val_loss: float
    """Mean validation loss."""
    val_accuracy: float
    """Share of validation photos whose likeliest count is the true one, 0 to 1."""
    epochs: int
    """Epochs trained."""
    photos_per_s: float
    """Training photos a second, in the median epoch."""
    parameters: int
    """Numbers in the model."""
    weights_source: str
    """Where the backbone's first weights came from."""
    max_count: int
    """Largest count the model can say."""
    side_px: int
    """Side of the squared photos, pixels."""
    train_counts: dict[str, int]
    """Photos trained on, by their count."""
    train_left_out: int
    """Photos of the train fold left out because their count is above max_count."""
    missing_counts: list[int]
    """Counts within 0..max_count of which the train fold has no photo."""


def outside(settings: TrainSettings) -> str:
    """Digest of the weights file, if the settings name one; nothing else lies outside of them.

    Raises:
        SettingsError: if the file is not there.
    """
    if settings.weights in ("pretrained", "none"):
        return ""
    file = Path(settings.weights)
    if not file.is_file():
        raise SettingsError(
            f'train.weights must be "pretrained", "none" or a file, and there is no file {file}'
        )
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check(settings: TrainSettings) -> None:
    """Look every part up on its shelf, with its options; nothing is read or trained.

    Raises:
        SettingsError: for an unknown part or option, with the nearest name.
    """
    from stocktake.vision.augments import augments

    counter, _ = _untrained(settings, settings.max_count or 1)
    _plan(settings, counter)
    augments.make(settings.augment)


def train(
    *, photos: RunFolder, split: RunFolder, settings: TrainSettings, run: RunFolder
) -> TrainResult:
    """Fit a counter on the train fold and keep its best epoch.

    Epochs that an earlier attempt in the same folder finished are not trained again; the result is
    that of an undisturbed run.

    Raises:
        SettingsError: for unknown parts or options, or weights that cannot be had.
        DataError: if the split is of other photos, a fold is empty, or the loss is not finite.
    """
    from stocktake.vision import fitting, world

    data = _data(photos, split, settings, run)
    with world.borrowed(threads=settings.threads, seed=settings.seed):
        model = _model(settings, data.max_count, run)
        train_batches, val_batches = _batches(settings, data, model.backbone)
        plan = _resumed(_plan(settings, model.counter), model, run)
        history = fitting.fit(
            model.counter,
            plan,
            train=train_batches,
            val=val_batches,
            save=_saver(run.artifact("checkpoints"), settings, model, plan.done),
            watchers=[_Reporter(run)],
        )
    best = min(history, key=lambda figures: figures.val_loss)
    counts = data.train.tally()
    return TrainResult(
        best_epoch=best.epoch,
        val_loss=best.val_loss,
        val_accuracy=best.val_accuracy,
        epochs=len(history),
        photos_per_s=median(figures.photos_per_s for figures in history),
        parameters=sum(p.numel() for p in model.counter.parameters()),
        weights_source=model.source,
        max_count=data.max_count,
        side_px=model.backbone.side_px,
        train_counts=counts,
        train_left_out=data.left_out,
        missing_counts=[c for c in range(data.max_count + 1) if str(c) not in counts],
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Data:
    shards: "PhotoShards"
    train: "Fold"
    val: "Fold"
    max_count: int
    left_out: int


@dataclass(frozen=True, kw_only=True, slots=True)
class _Model:
    counter: "Counter"
    backbone: "Backbone"
    source: str
    max_count: int


def _data(photos: RunFolder, split: RunFolder, settings: TrainSettings, run: RunFolder) -> _Data:
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
    if left_out:
        run.warn(f"{left_out} photos of the train fold have a count above {max_count}: left out")
    return _Data(shards=shards, train=train, val=val, max_count=max_count, left_out=left_out)


def _model(settings: TrainSettings, max_count: int, run: RunFolder) -> _Model:
    from stocktake.vision import weights

    counter, backbone = _untrained(settings, max_count)
    source = weights.fill(backbone, settings.weights)
    run.log("the backbone starts from these weights", source=source)
    return _Model(counter=counter, backbone=backbone, source=source, max_count=max_count)


def _untrained(settings: TrainSettings, max_count: int) -> tuple["Counter", "Backbone"]:
    """The counter with random weights, frozen as set; and the backbone in it."""
    from stocktake.vision import counter as counters

    backbone = counters.make_backbone(settings.backbone, side_px=settings.side_px)
    counter = counters.make_counter(backbone, settings.head, max_count=max_count)
    counter.freeze(counters.frozen_names(backbone, stages=settings.frozen_stages))
    return counter, backbone


def _plan(settings: TrainSettings, counter: "Counter") -> "Plan":
    from stocktake.vision.counter import parameter_groups
    from stocktake.vision.fitting import Plan
    from stocktake.vision.losses import losses
    from stocktake.vision.optimizers import optimizers
    from stocktake.vision.schedules import schedules

    groups = parameter_groups(counter, backbone_lr_scale=settings.backbone_lr_scale)
    return Plan(
        loss=losses.make(settings.loss),
        optimizer=optimizers.make(settings.optimizer, groups=groups),
        schedule=schedules.make(settings.schedule),
        epochs=settings.epochs,
        patience=settings.patience,
        clip_norm=settings.clip_norm,
        seed=settings.seed,
    )


def _resumed(plan: "Plan", model: _Model, run: RunFolder) -> "Plan":
    """The plan with the epochs that an earlier attempt finished; their metrics are said again."""
    from stocktake.vision import checkpoints
    from stocktake.vision.fitting import Figures

    run.forget_metrics()
    past = checkpoints.resume(run.artifact("checkpoints"), model.counter)
    if past is None:
        return plan
    plan.optimizer.load_state_dict(past["optimizer"])
    done = [Figures(**row) for row in past["history"]]
    reporter = _Reporter(run)
    for figures in done:
        reporter.epoch_end(figures)
    run.log(f"going on after epoch {len(done)}", epochs_kept=len(done))
    return replace(plan, done=done)


def _batches(
    settings: TrainSettings, data: _Data, backbone: "Backbone"
) -> tuple["Batches", "Batches"]:
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
    train, val = (
        Batches(
            pixels,
            fold,
            Order(
                len(fold.photo_ids),
                batch_size=settings.batch_size,
                seed=settings.seed,
                is_shuffled=fold is data.train,
            ),
            preprocessing=preprocessing_of(backbone),
            augment=change,
            workers=settings.workers,
        )
        for fold, change in ((data.train, augment), (data.val, None))
    )
    return train, val


def _saver(
    folder: Path, settings: TrainSettings, model: _Model, done: "Sequence[Figures]"
) -> "Save":
    from stocktake.schema.checkpoints import Checkpoint
    from stocktake.vision.checkpoints import Keeper
    from stocktake.vision.counter import preprocessing_of

    best = min(done, key=lambda figures: figures.val_loss).epoch if done else None
    keeper = Keeper(folder, best=best)

    def save(figures: "Figures", is_best: bool, trainer: dict[str, Any]) -> None:
        """Keep the epoch's checkpoint with what made it."""
        about = Checkpoint(
            epoch=figures.epoch,
            step=figures.step,
            backbone=settings.backbone,
            head=settings.head,
            max_count=model.max_count,
            preprocessing=preprocessing_of(model.backbone).to_dict(),
            weights_source=model.source,
            metrics={"val_loss": figures.val_loss, "val_accuracy": figures.val_accuracy},
            seed=settings.seed,
        )
        keeper.save(model.counter, about, trainer=trainer, is_best=is_best)

    return save


class _Reporter:
    """Watcher that tells the run folder."""

    def __init__(self, run: RunFolder) -> None:
        self._run = run
        self._steps = 0

    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        self._steps = steps

    def phase(self, step: int, name: str) -> None:
        return

    def step_end(self, step: int, loss: float) -> None:
        self._run.progress(step + 1, self._steps, "steps")

    def epoch_end(self, figures: "Figures") -> None:
        values = asdict(figures)
        epoch, _ = values.pop("epoch"), values.pop("step")
        self._run.metric(epoch, **values)

    def stop(self) -> None:
        return
