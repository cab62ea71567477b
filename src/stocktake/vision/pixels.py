"""Pixels: photos of the shards, decoded and squashed as serving does it, kept if they all fit."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError
from stocktake.imaging.preprocess import prepare

CACHE_BYTES = 2_000_000_000
"""Decoded photos kept in memory at most; 13,000 at 224 px."""


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
        self.side_px = side_px
        shape = (len(photo_ids), side_px, side_px, 3)
        self.is_cached = int(np.prod(shape, dtype=np.int64)) <= cache_bytes
        kept_ids = photo_ids if self.is_cached else []
        self._place = {photo_id: i for i, photo_id in enumerate(kept_ids)}
        self._kept = np.empty(shape if self.is_cached else (0,), dtype=np.uint8)
        self._is_kept = np.zeros(len(kept_ids), dtype=bool)

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
        side_px = self.side_px
        made = np.empty((len(photo_ids), side_px, side_px, 3), dtype=np.uint8)
        for i, jpeg in enumerate(self._shards.jpegs(photo_ids)):
            try:
                made[i] = prepare(jpeg, side_px)
            except DataError as err:
                raise DataError(f"photo {photo_ids[i]}: {err}; ingest the photos again") from err
        return made
