"""Features: what a frozen backbone sees in photos, computed once and kept on disk.

Where the backbone does not learn, its features of a photo never change, so only the head need be
trained on them: a linear probe. Each view of the photos, as they are or augmented, is one file.
"""

import hashlib
import json
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file
from torch import nn

from stocktake.vision.batches import Batch, Batches
from stocktake.vision.order import Order
from stocktake.vision.rows import Fold
from stocktake.vision.world import World

VERSION = 1
"""Goes into every key: a change in how features are made makes all files anew."""

Features = NDArray[np.float32]


@torch.inference_mode()
def features_of(
    backbone: nn.Module,
    batches: Batches,
    *,
    epoch: int = 0,
    world: World | None = None,
    on_batch: Callable[[int], None] = lambda done: None,
) -> tuple[list[str], Features]:
    """(ids, features float32 (N, D)) of the photos in these batches, in the batches' order.

    Args:
        backbone: photos (B, 3, S, S) -> features (B, D); looked through in evaluation mode.
        batches: photos, augmented if these batches are.
        epoch: whose batches; augmented ones differ from epoch to epoch.
        world: where to compute.
        on_batch: told how many photos are done.
    """
    world = world or World()
    was_training = backbone.training
    backbone.eval()
    photo_ids: list[str] = []
    found: list[Features] = []
    for batch in batches.epoch(epoch):
        with world.autocast():
            made = backbone(world.moved(batch.photos)).float()
        found.append(made.cpu().numpy())
        photo_ids += batch.photo_ids
        on_batch(len(photo_ids))
    backbone.train(was_training)
    return photo_ids, np.concatenate(found)


class FeatureStore:
    """Features on disk, one file per key; safe to share among runs and processes.

    Args:
        folder: of the files; made when needed.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = Path(folder)

    def get(
        self,
        key: Mapping[str, Any],
        photo_ids: Sequence[str],
        make: Callable[[], tuple[list[str], Features]],
    ) -> Features:
        """Features float32 (N, D) of these photos, in their order: from the file, else made.

        A file that is damaged, or of other photos, is made again.

        Args:
            key: plain data; all that the features depend on.
            photo_ids: N ids.
            make: gives ids and features in any order.
        """
        digest = hashlib.sha256(
            json.dumps([VERSION, dict(key)], sort_keys=True).encode()
        ).hexdigest()
        file = self.folder / f"{digest[:32]}.safetensors"
        kept = _read(file, digest, photo_ids)
        if kept is not None:
            return kept
        made_ids, made = make()
        place = {photo_id: i for i, photo_id in enumerate(made_ids)}
        found = np.ascontiguousarray(made[[place[photo_id] for photo_id in photo_ids]])
        _write(file, digest, photo_ids, found)
        return found


def _read(file: Path, digest: str, photo_ids: Sequence[str]) -> Features | None:
    try:
        with safe_open(file, framework="numpy") as opened:
            about = opened.metadata() or {}
            if about.get("key") != digest or about.get("ids") != _digest_of(photo_ids):
                return None
            found: Features = opened.get_tensor("features")
    except (OSError, SafetensorError):
        return None
    return found if len(found) == len(photo_ids) and np.isfinite(found).all() else None


def _write(file: Path, digest: str, photo_ids: Sequence[str], features: Features) -> None:
    """Whole or not at all, also where two processes write the same file at once."""
    file.parent.mkdir(parents=True, exist_ok=True)
    rough = file.with_suffix(f".{os.getpid()}.part")
    about = {"key": digest, "ids": _digest_of(photo_ids)}
    try:
        save_file({"features": features}, rough, metadata=about)
        rough.replace(file)
    finally:
        rough.unlink(missing_ok=True)


def _digest_of(photo_ids: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(photo_ids).encode()).hexdigest()


class FeatureBatches:
    """Batches of features, for `fit` to train a head on as it trains a counter on photos.

    Args:
        views: features float32 (N, D) of each view of the fold; epochs take them in turn.
        fold: N photos and their true counts.
        order: which of the N come when.
    """

    def __init__(self, views: Sequence[Features], fold: Fold, order: Order) -> None:
        assert all(len(view) == len(fold.photo_ids) for view in views), "views of another fold"
        self._views = [torch.from_numpy(view) for view in views]
        self._counts = torch.from_numpy(fold.counts)
        self._fold = fold
        self._order = order

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._order)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on; `photos` are features (B, D)."""
        features = self._views[(epoch - 1) % len(self._views)]
        for turn in self._order.epoch(epoch, start=start):
            places = torch.from_numpy(turn.places)
            ids = [self._fold.photo_ids[place] for place in turn.places.tolist()]
            yield Batch(ids, features[places], self._counts[places])
