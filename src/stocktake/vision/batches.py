"""Batches: photos as tensors, made ahead of the model by threads, the same however many."""

from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from stocktake.imaging.preprocess import Preprocessing
from stocktake.runs.machine import cores
from stocktake.vision.augments import Augment
from stocktake.vision.order import Order, Turn
from stocktake.vision.pixels import Pixels
from stocktake.vision.rows import Fold

AHEAD = 3
"""Whole batches made ahead of the model; measured: more brings nothing once decoding keeps up."""

CHUNK = 8
"""Photos that a thread makes at once; measured: with fewer, handing over costs up to a third."""


class Batch(NamedTuple):
    """What the model trains on."""

    photo_ids: list[str]
    photos: torch.Tensor
    """float32 (B, 3, S, S), normalised, channels last in memory."""
    counts: torch.Tensor
    """int64 (B,)."""


class Feed(Protocol):
    """What training is fed with, epoch by epoch."""

    def __len__(self) -> int:
        """Batches in an epoch."""

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on."""


class Batches:
    """Batches of a fold, epoch by epoch.

    Args:
        pixels: gives the prepared photos.
        fold: N photos and their true counts.
        order: which of the N come when, and their chance.
        preprocessing: how pixels become model input.
        augment: changes training photos at random; None leaves them as they are.
        workers: threads that make batches, 0 for one per core; decoding lets go of the
            interpreter's lock.
    """

    def __init__(
        self,
        pixels: Pixels,
        fold: Fold,
        order: Order,
        *,
        preprocessing: Preprocessing,
        augment: Augment | None = None,
        workers: int = 0,
    ) -> None:
        assert order.photos == len(fold.photo_ids), "the order is of another fold"
        self._pixels = pixels
        self._fold = fold
        self._order = order
        self._augment = augment
        self._workers = workers or cores()
        # rows of S pixels, so that one multiply and add runs over long stretches of memory
        full = 255 if augment is None else 1
        std = torch.tensor(preprocessing.std)
        self._scale = (1 / (full * std)).repeat(pixels.side_px)  # (S * 3,)
        self._shift = (-torch.tensor(preprocessing.mean) / std).repeat(pixels.side_px)

    def __len__(self) -> int:
        """Batches in an epoch."""
        return len(self._order)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on.

        Raises:
            DataError: if a photo cannot be had, naming it.
        """
        ahead: deque[tuple[Batch, list[Future[None]]]] = deque()
        with ThreadPoolExecutor(self._workers, "batches", initializer=_one_thread_each) as pool:
            try:
                for turn in self._order.epoch(epoch, start=start):
                    ahead.append(self._begun(turn, pool))
                    if len(ahead) > AHEAD:
                        yield _whole(*ahead.popleft())
                while ahead:
                    yield _whole(*ahead.popleft())
            finally:
                for _, chunks in ahead:
                    for chunk in chunks:
                        chunk.cancel()

    def _begun(self, turn: Turn, pool: ThreadPoolExecutor) -> tuple[Batch, list[Future[None]]]:
        """A batch whose photos are being filled in, chunk by chunk."""
        side_px = self._pixels.side_px
        photo_ids = [self._fold.photo_ids[place] for place in turn.places]
        filled = np.empty((len(photo_ids), side_px, side_px, 3), dtype=np.float32)
        chunks = [slice(i, i + CHUNK) for i in range(0, len(photo_ids), CHUNK)]
        futures = [
            pool.submit(self._fill, filled[chunk], photo_ids[chunk], turn.chance[chunk])
            for chunk in chunks
        ]
        photos = torch.from_numpy(filled).permute(0, 3, 1, 2)  # (B, 3, S, S)
        return Batch(photo_ids, photos, torch.from_numpy(self._fold.counts[turn.places])), futures

    def _fill(
        self, filled: NDArray[np.float32], photo_ids: list[str], chance: NDArray[np.float32]
    ) -> None:
        photos = torch.from_numpy(self._pixels.take(photo_ids)).to(torch.float32)  # (b, S, S, 3)
        if self._augment is not None:
            planes = photos.mul_(1 / 255).permute(0, 3, 1, 2)  # (b, 3, S, S)
            photos = self._augment(planes, torch.from_numpy(chance)).permute(0, 2, 3, 1)
        rows = photos.reshape(-1, len(self._scale))  # (b * S, S * 3)
        out = torch.from_numpy(filled).view(rows.shape)
        torch.addcmul(self._shift, rows, self._scale, out=out)


def _whole(batch: Batch, chunks: list[Future[None]]) -> Batch:
    for chunk in chunks:
        chunk.result()
    return batch


def _one_thread_each() -> None:
    """Keep torch's own threads out of the workers: many small operations, one thread each."""
    torch.get_num_threads()  # torch sets a new thread's number once, at its first use
    threadpool_limits(limits=1, user_api="openmp")  # of this thread alone
