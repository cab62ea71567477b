"""Batches: photos as tensors, made ahead of the model, in an order fixed by the seed."""

from collections import deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol

import numpy as np
import torch
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.imaging.preprocess import Preprocessing, prepare
from stocktake.vision.augments import Augment
from stocktake.vision.rows import Fold

CACHE_BYTES = 2_000_000_000
"""Decoded photos kept in memory at most; 13,000 at 224 px."""
AHEAD = 4
"""Batches made ahead of the model; measured: more brings nothing once decoding keeps up."""


WORKERS = 2
"""Threads that make batches; decoding lets go of the interpreter's lock."""


class Batch(NamedTuple):
    """What the model trains on."""

    photo_ids: list[str]
    photos: torch.Tensor
    """float32 (B, 3, S, S), normalised, channels last in memory."""
    counts: torch.Tensor
    """int64 (B,)."""


class Jpegs(Protocol):
    """Gives photo files by id, from several threads; `store.shards.PhotoShards` does."""

    def jpegs(self, photo_ids: Sequence[str]) -> list[bytes]:
        """The files of these photos, in this order."""


class Pixels:
    """Prepared photos; each is decoded once if all fit the budget.

    Args:
        shards: gives the photo files.
        photo_ids: the photos that will be asked for.
        side_px: side S of the prepared photos.
        cache_bytes: memory for prepared photos; if they do not all fit, none is kept.
    """

    def __init__(
        self,
        shards: Jpegs,
        photo_ids: Sequence[str],
        *,
        side_px: int,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self._shards = shards
        self._side_px = side_px
        self._place = {photo_id: i for i, photo_id in enumerate(photo_ids)}
        shape = (len(self._place), side_px, side_px, 3)
        self.is_cached = int(np.prod(shape, dtype=np.int64)) <= cache_bytes
        self._kept = np.empty(shape if self.is_cached else (0,), dtype=np.uint8)
        self._is_kept = np.zeros(len(self._place), dtype=bool)

    def take(self, photo_ids: Sequence[str]) -> NDArray[np.uint8]:
        """uint8 (B, S, S, 3); safe to call from several threads.

        Raises:
            DataError: if a photo is not in the shards or cannot be decoded.
        """
        if not self.is_cached:
            return self._decoded(photo_ids)
        places = np.array([self._place[photo_id] for photo_id in photo_ids])
        missing = [i for i, place in enumerate(places) if not self._is_kept[place]]
        if missing:
            self._kept[places[missing]] = self._decoded([photo_ids[i] for i in missing])
            self._is_kept[places[missing]] = True  # only after the pixels: another thread may look
        taken: NDArray[np.uint8] = self._kept[places]
        return taken

    def _decoded(self, photo_ids: Sequence[str]) -> NDArray[np.uint8]:
        side_px = self._side_px
        made = np.empty((len(photo_ids), side_px, side_px, 3), dtype=np.uint8)
        for i, jpeg in enumerate(self._shards.jpegs(photo_ids)):
            try:
                made[i] = prepare(jpeg, side_px)
            except DataError as err:
                raise DataError(f"photo {photo_ids[i]}: {err}; ingest the photos again") from err
        return made


class Batches:
    """Batches of a fold, epoch by epoch.

    Args:
        pixels: gives the prepared photos.
        fold: N photos and their true counts.
        preprocessing: how pixels become model input.
        batch_size: B; a training epoch leaves an incomplete last batch out, unless it is the only
            one.
        augment: changes training photos at random; None for validation: no change, no shuffling.
        seed: of order and augmentation.
    """

    def __init__(
        self,
        pixels: Pixels,
        fold: Fold,
        *,
        preprocessing: Preprocessing,
        batch_size: int,
        augment: Augment | None = None,
        seed: int = 0,
    ) -> None:
        self._pixels = pixels
        self._photo_ids = fold.photo_ids
        self._counts = fold.counts
        self._mean = torch.tensor(preprocessing.mean)[:, None, None]
        self._std = torch.tensor(preprocessing.std)[:, None, None]
        self._batch_size = batch_size
        self._augment = augment
        self._seed = seed

    @property
    def photo_count(self) -> int:
        """Photos N."""
        return len(self._photo_ids)

    def __len__(self) -> int:
        """Batches in an epoch."""
        whole, rest = divmod(len(self._photo_ids), self._batch_size)
        return whole + bool(rest and (self._augment is None or not whole))

    def order(self, epoch: int) -> NDArray[np.int64]:
        """Places of the photos in the order of that epoch, the same at every call."""
        if self._augment is None:
            return np.arange(len(self._photo_ids))
        return np.random.default_rng([self._seed, epoch]).permutation(len(self._photo_ids))

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Batch]:
        """The batches of an epoch, from batch `start` on; made ahead in threads.

        Raises:
            DataError: if a photo cannot be had, naming it.
        """
        order = self.order(epoch)
        size = self._batch_size
        with ThreadPoolExecutor(WORKERS, thread_name_prefix="batches") as pool:
            ahead: deque[Future[Batch]] = deque()
            try:
                for index in range(start, len(self)):
                    places = order[index * size : (index + 1) * size]
                    ahead.append(pool.submit(self._make, places, epoch, index))
                    if len(ahead) > AHEAD:
                        yield ahead.popleft().result()
                while ahead:
                    yield ahead.popleft().result()
            finally:
                for future in ahead:
                    future.cancel()

    def _make(self, places: NDArray[np.int64], epoch: int, index: int) -> Batch:
        photo_ids = [self._photo_ids[place] for place in places]
        pixels = torch.from_numpy(self._pixels.take(photo_ids))  # (B, S, S, 3)
        photos = pixels.permute(0, 3, 1, 2).to(torch.float32).div_(255)  # (B, 3, S, S)
        if self._augment is not None:
            seed = int(np.random.SeedSequence([self._seed, epoch, index]).generate_state(1)[0])
            photos = self._augment(photos, torch.Generator().manual_seed(seed))
        photos = photos.sub(self._mean).div_(self._std)
        photos = photos.contiguous(memory_format=torch.channels_last)
        return Batch(photo_ids, photos, torch.from_numpy(self._counts[places]))
