"""Train: fit a counter on the train fold, keep its best epoch."""

import hashlib
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

from stocktake.errors import SettingsError
from stocktake.parts import Part
from stocktake.runs import fingerprint
from stocktake.runs.folder import RunFolder

PACE = ("workers", "save_every_s", "features", "rules", "record_every", "profile", "on_issue")
"""Where an issue stops the training, `outside` says so: then rules matter as well."""

RULES = (
    *("VanishingGradient", "Overfit", "Overtraining", "PoorWeightInitialization"),
    *("LossNotDecreasing", "LowGPUUtilization", "ProfilerReport"),
)
"""Rules that watch a training if it names none."""

LEAST = {
    "epochs": 1,
    "batch_size": 2,
    "accumulate": 1,
    "members": 1,
    "processes": 1,
    "max_count": 0,
    "limit": 0,
    "frozen_stages": -1,
    "views": 0,
    "clip_norm": 0,
    "mixup": 0,
    "prior_adjustment": 0,
    "patience": 0,
    "seed": 0,
    "save_every_s": 0,
    "threads": 0,
    "workers": 0,
    "cache_gb": 0,
    "record_every": 0,
}
"""The least that each number may be."""
WORDS = {
    "norms": ("batch", "kept", "adapted"),
    "better_by": ("val_loss", "val_accuracy", "epoch"),
    "device": ("auto", "cpu", "cuda"),
    "precision": ("auto", "float32", "bfloat16"),
    "on_issue": ("note", "stop"),
}
"""What each word may be."""


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
    limit: int = 0
    """Photos of the train fold to learn from, 2 or more; 0 for all. A smaller number takes part of
    what a larger one takes: for learning curves."""
    accumulate: int = 1
    """Parts in which a batch goes through the model, 1 or more: less memory, the same step."""
    backbone_lr_scale: float = 1.0
    """Backbone's share of the learning rate, above 0 to 1."""
    layer_decay: float = 1.0
    """Each stage of the backbone learns at this share of the next one's rate, above 0 to 1."""
    frozen_stages: int = 0
    """Leading stages of the backbone kept as they are (faster); -1 trains the head alone, on
    features of the backbone that are made once."""
    views: int = 4
    """Augmented copies of each photo that such features are made of; 0 takes the photo as it is."""
    features: str = ""
    """Folder that keeps such features for all runs; empty for ~/.cache/stocktake/features."""
    norms: str = "batch"
    """Batch norms by each "batch", with the statistics that came with the weights ("kept"), or with
    those of the train fold ("adapted"): the latter two are faster, and alike for any number of
    processes."""
    clip_norm: float = 0.0
    """Largest norm of the gradient, 0 for any."""
    mixup: float = 0.0
    """Alpha of mixup, which blends photos and their counts in pairs; 0 for none."""
    averaging: float = 0.0
    """Decay of the average of the weights (EMA) that is judged and kept, under 1; 0 for none."""
    prior_adjustment: float = 0.0
    """Share of the training mix that is not learnt, 0 to 1; at 1 all counts weigh the same."""
    better_by: str = "val_loss"
    """What makes an epoch the best one: "val_loss", "val_accuracy", or "epoch" for the last."""
    patience: int = 0
    """Epochs without a better one before stopping; 0 never stops early."""
    seed: int = 0
    """Seed of first weights, order, augmentation and dropout."""
    members: int = 1
    """Trainings with seeds in a row whose answers are averaged, 1 or more; time grows with it."""
    processes: int = 1
    """Processes that share each batch, 1 or more: one for each GPU."""
    device: str = "auto"
    """Where to compute: "cpu", "cuda", or "auto" for a GPU where there is one."""
    precision: str = "auto"
    """Of the products: "float32", "bfloat16", or "auto" for bfloat16 on a GPU that has it."""
    compiled: bool = False
    """Whether torch.compile makes the training step; a minute or more at the start."""
    save_every_s: float = 300.0
    """Seconds between checkpoints within an epoch; 0 keeps only the ends of epochs."""
    threads: int = 0
    """Threads for the arithmetic; 0 takes the number torch finds right."""
    workers: int = 0
    """Threads that make batches; 0 for one per core. Batches do not depend on it."""
    cache_gb: float = 2.0
    """Memory for decoded photos in gigabytes; if they do not all fit, each epoch decodes again."""
    rules: tuple[str | dict[str, Any], ...] = RULES
    """Rules that judge each epoch: names, or tables with a name and parameters."""
    record_every: int = 50
    """Steps between two records of gradients and weights, of activations four times as many; the
    loss is recorded at each; 0 records nothing."""
    profile: bool = True
    """Whether to measure the machine and the phases of each step."""
    on_issue: str = "note"
    """What a rule's finding does: "note" warns; "stop" also ends training after the epoch, the best
    one kept. A profiler's rule is only noted."""

    def __post_init__(self) -> None:
        for name, least in LEAST.items():
            if getattr(self, name) < least:
                raise ValueError(f"{name} must be {least} or more, got {getattr(self, name)}")
        for name, words in WORDS.items():
            if getattr(self, name) not in words:
                known = ", ".join(f'"{word}"' for word in words)
                raise ValueError(f'{name} must be one of {known}, got "{getattr(self, name)}"')
        if self.side_px != 0 and not 32 <= self.side_px <= 1024:
            raise ValueError(f"side_px must be 0 or between 32 and 1024, got {self.side_px}")
        for name, what in (
            ("backbone_lr_scale", "frozen_stages = -1 trains the head alone"),
            ("layer_decay", "1 is the same rate for all"),
        ):
            if not 0 < getattr(self, name) <= 1:
                raise ValueError(
                    f"{name} must be above 0 and at most 1, got {getattr(self, name)}; {what}"
                )
        if not 0 <= self.averaging < 1:
            raise ValueError(f"averaging must be 0 or more and under 1, got {self.averaging}")
        if self.limit == 1:
            raise ValueError("limit must be 2 or more, or 0 for all photos, got 1")
        if self.prior_adjustment > 1:
            raise ValueError(f"prior_adjustment must be 0 to 1, got {self.prior_adjustment}")


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
    device: str
    """What the arithmetic was done on."""
    precision: str
    """Precision of the products."""
    peak_memory_gb: float
    """Largest memory of the process, gigabytes."""
    estimated_s: float
    """What the last attempt was estimated to take before its first epoch, seconds."""
    took_s: float
    """What it took, seconds."""


def outside(settings: TrainSettings) -> str:
    """Digest of what the result depends on beyond the settings that tell it.

    That is the weights file, if they name one; and where an issue may stop the training, what is
    watched and how.

    Raises:
        SettingsError: if the file is not there.
    """
    weights = "" if settings.weights in ("pretrained", "none") else _digest(settings.weights)
    if settings.on_issue == "note":
        return weights
    return fingerprint.of([weights, "stop", settings.rules, settings.record_every])


def _digest(weights: str) -> str:
    file = Path(weights)
    if not file.is_file():
        raise SettingsError(
            f'train.weights must be "pretrained", "none" or a file, and there is no file {file}'
        )
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def check(settings: TrainSettings) -> None:
    """Look every part and rule up on its shelf, with its options; nothing is read or trained.

    Raises:
        SettingsError: for an unknown part, rule or option, with the nearest name.
    """
    from stocktake.stages import debug, trainer

    debug.asked(settings.rules)
    trainer.look_up(settings)


def train(
    *, photos: RunFolder, split: RunFolder, settings: TrainSettings, run: RunFolder
) -> TrainResult:
    """Fit a counter on the train fold and keep its best epoch.

    Epochs that an earlier attempt in the same folder finished are not trained again; the result is
    that of an undisturbed run.

    Raises:
        SettingsError: for unknown parts, rules or options, or weights that cannot be had.
        DataError: if the split is of other photos, a fold is empty, or the loss is not finite.
    """
    from stocktake.stages import trainer
    from stocktake.vision import estimate as estimates

    data = trainer.data_of(photos, split, settings, run)
    run.forget_metrics()
    with trainer.stopping() as should_stop:
        made = [
            trainer.fitted(settings, data, run, member=member, should_stop=should_stop)
            for member in range(settings.members)
        ]
    first, counts = made[0], data.train.tally()
    val_loss, val_accuracy = first.best.val_loss, first.best.val_accuracy
    if settings.members > 1:
        val_loss, val_accuracy = trainer.combined(settings, data, run)
    return TrainResult(
        best_epoch=first.best.epoch,
        val_loss=val_loss,
        val_accuracy=val_accuracy,
        epochs=len(first.history),
        photos_per_s=median(one.photos_per_s for fit in made for one in fit.history),
        parameters=sum(fit.parameters for fit in made),
        weights_source=first.source,
        max_count=data.max_count,
        side_px=first.side_px,
        train_counts=counts,
        train_left_out=data.left_out,
        missing_counts=[c for c in range(data.max_count + 1) if str(c) not in counts],
        device=first.device,
        precision=first.precision,
        peak_memory_gb=estimates.peak_memory_gb(),
        estimated_s=sum(fit.estimated_s for fit in made),
        took_s=sum(fit.took_s for fit in made),
    )


def estimate(
    *, photos: RunFolder, split: RunFolder, settings: TrainSettings, run: RunFolder
) -> dict[str, Any]:
    """How long training will take on this machine and what it needs, from a few steps of it.

    Args:
        photos: as for `train`.
        split: as for `train`.
        settings: as for `train`.
        run: the folder that training would write; an attempt in it is taken into account, and
            nothing is written.
    """
    from stocktake.stages import trainer
    from stocktake.vision import estimate as estimates

    data = trainer.data_of(photos, split, settings, None)
    with trainer.begun(settings, data, run, is_silent=True) as ready:
        found = estimates.of(ready.learner, ready.plan, train=ready.train, val=ready.val)
    seconds = found.seconds + (settings.members - 1) * found.whole_s
    return {
        "time": trainer.said(seconds),
        "photos": len(data.train.photo_ids),
        "epochs_left": ready.plan.epochs - len(ready.plan.done),
        **asdict(found),
        "seconds": seconds,
        "device": ready.plan.world.device.type,
        "threads": ready.threads,
    }
