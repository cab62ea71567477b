"""Pictures: some photos as small JPEG files, for pages."""

import io
from collections.abc import Callable, Container, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from stocktake.errors import DataError
from stocktake.imaging.decode import decode_near

if TYPE_CHECKING:
    from stocktake.store.shards import PhotoShards

QUALITY = 80
"""JPEG quality of small pictures."""


def write(
    shards: "PhotoShards",
    wanted: Mapping[str, Sequence[tuple[str, int]]],
    path_of: Callable[[str, str], Path],
) -> dict[str, list[str]]:
    """Write small pictures of some photos; ids of those written by folder, in rising order.

    Those that cannot be decoded are not among them.

    Args:
        shards: the photos; only row groups that hold a wanted one are read.
        wanted: by photo id, in which folders and how large: (folder, long side in pixels).
        path_of: path of a file by folder and name; its folder exists.
    """
    written: dict[str, list[str]] = {}
    for photo_id, jpeg in _files_of(shards, wanted):
        for folder, side_px in wanted[photo_id]:
            made = small(jpeg, side_px)
            if made is not None:
                path_of(folder, f"{photo_id}.jpg").write_bytes(made)
                written.setdefault(folder, []).append(photo_id)
    return written


def _files_of(shards: "PhotoShards", wanted: Container[str]) -> Iterator[tuple[str, bytes]]:
    """Files of the wanted photos in order."""
    for photo_ids, read in shards.groups():
        if any(photo_id in wanted for photo_id in photo_ids):
            with suppress(DataError):  # a damaged group has no pictures; its photos are told of
                pairs = list(zip(photo_ids, read(), strict=True))
                yield from (pair for pair in pairs if pair[0] in wanted)


def small(jpeg: bytes, side_px: int) -> bytes | None:
    """The photo as a JPEG of that long side at most; None if it cannot be decoded."""
    try:
        photo = decode_near(jpeg, at_least_px=side_px)
    except DataError:
        return None
    photo.thumbnail((side_px, side_px))
    made = io.BytesIO()
    photo.save(made, "JPEG", quality=QUALITY)
    return made.getvalue()
