"""Order: which photos come in which batch, and the chance that each is changed by.

All of it follows from (seed, epoch, batch), never from threads, ranks or what was done before: so
an epoch can be entered in the middle, and the ranks of a distributed training share a batch.
"""

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

DRAWS = 16
"""Random numbers that a photo gets in an epoch; an augment that needs more seeds itself by one."""


class Turn(NamedTuple):
    """One batch, or a rank's part of it."""

    places: NDArray[np.int64]
    """(B,), where the photos are in their fold."""
    chance: NDArray[np.float32]
    """(B, DRAWS), uniform in [0, 1), row by row for the photos."""


class Order:
    """The batches of every epoch.

    Args:
        photos: photos N in the fold.
        batch_size: B of the whole batch, over all ranks together.
        seed: of order and chance.
        is_shuffled: for training: a new order each epoch, an incomplete last batch left out unless
            it is the only one. Else the fold's order, all of it.
        share: (rank, ranks): of each batch this rank gets every ranks-th photo, from its rank on.

    Raises:
        ValueError: if the ranks cannot share a batch evenly, in training.
    """

    def __init__(
        self,
        photos: int,
        *,
        batch_size: int,
        seed: int = 0,
        is_shuffled: bool = False,
        share: tuple[int, int] = (0, 1),
    ) -> None:
        rank, ranks = share
        if not 0 <= rank < ranks:
            raise ValueError(f"rank must be 0 to {ranks - 1} among {ranks} ranks, got {rank}")
        if is_shuffled and batch_size % ranks:
            raise ValueError(
                f"{ranks} ranks cannot share batches of {batch_size} photos evenly;"
                f" make batch_size a multiple of {ranks}"
            )
        self.photos = photos
        self.batch_size = batch_size
        self._seed = seed
        self._is_shuffled = is_shuffled
        self._share = slice(rank, None, ranks)
        self._rank = rank

    def __len__(self) -> int:
        """Batches in an epoch that hold a photo of this rank."""
        whole, rest = divmod(self.photos, self.batch_size)
        has_last = rest > self._rank and not (self._is_shuffled and whole)
        return whole + has_last

    def places(self, epoch: int) -> NDArray[np.int64]:
        """(N,), places of all photos in the order of that epoch, the same at every call."""
        if not self._is_shuffled:
            return np.arange(self.photos)
        return np.random.default_rng([self._seed, epoch]).permutation(self.photos)

    def epoch(self, epoch: int, *, start: int = 0) -> Iterator[Turn]:
        """The batches of that epoch from batch `start` on."""
        places = self.places(epoch)
        for index in range(start, len(self)):
            whole = places[index * self.batch_size : (index + 1) * self.batch_size]
            rng = np.random.default_rng([self._seed, epoch, index])
            chance = rng.random((len(whole), DRAWS), dtype=np.float32)
            yield Turn(whole[self._share], chance[self._share])
