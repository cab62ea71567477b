"""Inference: log-probabilities of photos by a counter; the same whatever the batch size."""

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from stocktake.imaging.preprocess import VIEWS, Preprocessing, normalise
from stocktake.vision import checkpoints, heatmaps
from stocktake.vision.batches import Batches
from stocktake.vision.order import Order
from stocktake.vision.pixels import Jpegs, Pixels
from stocktake.vision.rows import Fold

HEAT_BATCH = 16
"""Photos explained at once: a gradient takes more memory than an answer."""


@torch.inference_mode()
def look(counter: nn.Module, photos: torch.Tensor, *, views: int = 1) -> torch.Tensor:
    """log_probs float32 (B, K) from normalised photos (B, 3, S, S).

    Args:
        counter: in evaluation mode.
        photos: normalised.
        views: of imaging.preprocess.VIEWS the first so many; of several, the answer is the
            normalised mean of the log-probabilities.
    """
    log_probs: torch.Tensor = counter(photos)
    if views == 1:
        return log_probs
    looks = [log_probs]
    for axes in VIEWS[1:views]:
        looks.append(counter(photos.flip(axes).contiguous(memory_format=torch.channels_last)))
    return torch.log_softmax(torch.stack(looks).mean(dim=0), dim=1)


def log_probs_of(
    checkpoint: Path, photos: NDArray[np.uint8], *, batch_size: int = 64, views: int = 1
) -> NDArray[np.float32]:
    """log_probs float32 (N, K) of prepared photos uint8 (N, S, S, 3), as `imaging.prepare` gives
    them.

    Raises:
        DataError: if the checkpoint cannot be loaded or the photos have another shape.
    """
    counter = checkpoints.load(checkpoint)
    about = checkpoints.describe(checkpoint)
    preprocessing = Preprocessing.from_dict(about.preprocessing)
    made = [np.empty((0, about.max_count + 1), dtype=np.float32)]
    for start in range(0, len(photos), batch_size):
        planes = torch.from_numpy(normalise(photos[start : start + batch_size], preprocessing))
        planes = planes.contiguous(memory_format=torch.channels_last)
        made.append(look(counter, planes, views=views).numpy())
    return np.concatenate(made)


def log_probs_of_shards(
    checkpoint: Path,
    shards: Jpegs,
    photo_ids: Sequence[str],
    *,
    batch_size: int = 64,
    views: int = 1,
    on_progress: Callable[[int], None] = lambda done: None,
) -> NDArray[np.float32]:
    """log_probs float32 (N, K) of photos in a shard set, in the order of `photo_ids`.

    Args:
        checkpoint: folder of the checkpoint.
        shards: gives the photo files.
        photo_ids: N photos.
        batch_size: photos at once.
        views: ways to look at a photo, as for `look`.
        on_progress: told the number of photos done.

    Raises:
        DataError: if the checkpoint cannot be loaded or a photo cannot be had.
    """
    counter = checkpoints.load(checkpoint)
    about = checkpoints.describe(checkpoint)
    preprocessing = Preprocessing.from_dict(about.preprocessing)
    batches = Batches(
        Pixels(shards, photo_ids, side_px=preprocessing.side_px, cache_bytes=0),
        Fold(photo_ids=list(photo_ids), counts=np.zeros(len(photo_ids), dtype=np.int64)),
        Order(len(photo_ids), batch_size=batch_size),
        preprocessing=preprocessing,
    )
    made = np.empty((len(photo_ids), about.max_count + 1), dtype=np.float32)
    done = 0
    for batch in batches.epoch(0):
        made[done : done + len(batch.counts)] = look(counter, batch.photos, views=views).numpy()
        done += len(batch.counts)
        on_progress(done)
    return made


def heatmaps_of_shards(
    checkpoint: Path, shards: Jpegs, photo_ids: Sequence[str], counts: NDArray[np.int64]
) -> NDArray[np.float32] | None:
    """Where the counter found these counts (N,) in these photos: (N, h, w), see `heatmaps`.

    Raises:
        DataError: if the checkpoint cannot be loaded or a photo cannot be had.
    """
    counter = checkpoints.load(checkpoint)
    preprocessing = Preprocessing.from_dict(checkpoints.describe(checkpoint).preprocessing)
    batches = Batches(
        Pixels(shards, photo_ids, side_px=preprocessing.side_px, cache_bytes=0),
        Fold(photo_ids=list(photo_ids), counts=counts),
        Order(len(photo_ids), batch_size=HEAT_BATCH),
        preprocessing=preprocessing,
    )
    made = []
    for batch in batches.epoch(0):
        maps = heatmaps.heatmaps(counter, batch.photos, batch.counts)
        if maps is None:
            return None
        made.append(maps)
    return np.concatenate(made) if made else None
