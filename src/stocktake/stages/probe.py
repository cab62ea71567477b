"""Probe: train the head alone, on features of the frozen backbone that are made once and kept."""

import hashlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.stages.train import TrainSettings
    from stocktake.stages.trainer import Data, Source
    from stocktake.vision.counter import Counter
    from stocktake.vision.features import FeatureBatches
    from stocktake.vision.rows import Fold
    from stocktake.vision.world import World

BATCH = 64
"""Photos that the backbone looks at together."""


def batches(
    settings: "TrainSettings",
    data: "Data",
    source: "Source",
    counter: "Counter",
    here: "World",
    run: RunFolder,
) -> "tuple[FeatureBatches, FeatureBatches]":
    """Features to learn from and to judge by, from `settings.features`, or made for it."""
    from stocktake.vision.features import FeatureBatches, FeatureStore
    from stocktake.vision.order import Order

    store = FeatureStore(folder_of(settings))
    key = {
        "photos": data.photos,
        "backbone": _digest_of(counter),
        "side_px": settings.side_px,
        "is_bfloat16": here.is_bfloat16,
    }

    def view_of(fold: "Fold", view: int) -> Any:
        """Features (N, D) of the fold as it is (0), or of one of its augmented copies."""
        from stocktake.vision import features
        from stocktake.vision.augments import augments

        order = Order(len(fold.photo_ids), batch_size=BATCH, seed=settings.seed)
        augment = augments.make(settings.augment) if view else None
        change = {"augment": settings.augment, "seed": settings.seed, "view": view} if view else {}
        return store.get(
            key | change,
            fold.photo_ids,
            lambda: features.features_of(
                counter.backbone,
                source(fold, order, augment),
                epoch=view,
                world=here,
                on_batch=lambda done: run.progress(done, len(fold.photo_ids), "features"),
            ),
        )

    made = []
    for fold in (data.train, data.val):
        views = range(1, settings.views + 1) if fold is data.train and settings.views else [0]
        order = Order(
            len(fold.photo_ids),
            batch_size=settings.batch_size,
            seed=settings.seed,
            is_shuffled=fold is data.train,
            share=(here.rank, here.ranks),
        )
        made.append(FeatureBatches([view_of(fold, view) for view in views], fold, order))
    if not settings.threads:
        here.use_one_thread()
    return made[0], made[1]


def folder_of(settings: "TrainSettings") -> Path:
    """Where features are kept: as set, else in the user's cache, for all runs together."""
    return Path(settings.features or "~/.cache/stocktake/features").expanduser()


def _digest_of(counter: "Counter") -> str:
    """Of the backbone's weights, statistics and make."""
    made = hashlib.sha256(str(counter.backbone).encode())
    for name, value in counter.backbone.state_dict().items():
        made.update(name.encode())
        made.update(value.detach().cpu().contiguous().numpy().tobytes())
    return made.hexdigest()
