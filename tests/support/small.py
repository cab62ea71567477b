"""A training small enough to run in a blink: drawn photos, one layer, a few steps."""

import copy
from typing import Any

import numpy as np
import torch
from drawn import Drawn
from torch import nn

from stocktake.imaging.preprocess import Preprocessing
from stocktake.vision.augments import augments
from stocktake.vision.batches import Batches
from stocktake.vision.counter import Counter
from stocktake.vision.fitting import Figures, Plan
from stocktake.vision.heads import heads
from stocktake.vision.losses import losses
from stocktake.vision.order import Order
from stocktake.vision.pixels import Pixels
from stocktake.vision.rows import Fold
from stocktake.vision.schedules import schedules

PREPROCESSING = Preprocessing(side_px=32, mean=(0.5, 0.5, 0.5), std=(0.25, 0.25, 0.25))
IDS = [f"{i:03d}" for i in range(64)]


def batches(
    ids: list[str], augment: str | None = None, *, counts: list[int] | None = None, size: int = 8
) -> Batches:
    return Batches(
        Pixels(Drawn(), ids, side_px=32),
        Fold(photo_ids=ids, counts=np.array(counts or [int(i) % 4 for i in ids])),
        Order(len(ids), batch_size=size, is_shuffled=augment is not None),
        preprocessing=PREPROCESSING,
        augment=augments.make(augment) if augment else None,
    )


def counter(max_count: int = 3) -> Counter:
    """One layer that can see how bright a photo is."""
    torch.manual_seed(0)
    backbone = nn.Sequential(
        nn.Conv2d(3, 8, 4, 4), nn.ReLU(), nn.Dropout(0.1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )
    return Counter(backbone, heads.make("softmax", features=8, max_count=max_count))


def plan(model: nn.Module, *, epochs: int = 2, lr: float = 0.02, **options: Any) -> Plan:
    return Plan(
        loss=losses.make("cross-entropy"),
        optimizer=torch.optim.Adam(model.parameters(), lr=lr),
        schedule=schedules.make("constant"),
        epochs=epochs,
        **options,
    )


class Kept:
    """Keeps what training would write, in memory."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.epochs: list[Any] = []
        self.midways: list[Any] = []

    def epoch(self, figures: Figures, is_best: bool, trainer: dict[str, Any]) -> None:
        self.epochs.append((figures, is_best, copy.deepcopy(trainer)))
        self.weights = copy.deepcopy(self.model.state_dict())

    def midway(self, epochs: int, step: int, trainer: dict[str, Any]) -> None:
        weights = copy.deepcopy(self.model.state_dict())
        self.midways.append((epochs, step, copy.deepcopy(trainer), weights))
