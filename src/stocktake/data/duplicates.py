"""Duplicates: photos that are there more than once, as the same file or as the same pixels."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from hashlib import blake2b
from typing import Any

import pyarrow as pa

from stocktake.data.summaries import SHOWN
from stocktake.errors import DataError
from stocktake.imaging.decode import decode

Groups = list[list[str]]
"""Ids of equal photos, two or more in each group."""


def same_bytes(rows: pa.Table) -> Groups:
    """Photos whose files are equal, by the sha256 of each row."""
    pairs = zip(rows["sha256"].to_pylist(), rows["photo_id"].to_pylist(), strict=True)
    return _groups(pairs)


def same_pixels(
    rows: pa.Table, digests: Mapping[str, bytes], read: Callable[[str], bytes]
) -> Groups:
    """Photos whose pixels are equal though their files are not.

    Only those whose small pictures are equal are decoded whole, one file of each kind.

    Args:
        rows: photo_id and sha256 of N photos.
        digests: of the small pictures' pixels, by photo id.
        read: gives a photo's file.
    """
    sha_of = dict(zip(rows["photo_id"].to_pylist(), rows["sha256"].to_pylist(), strict=True))
    found = []
    for group in _groups((digest, photo_id) for photo_id, digest in digests.items()):
        if len({sha_of[photo_id] for photo_id in group}) < 2:
            continue
        pixels_of: dict[str, bytes] = {}
        for photo_id in group:
            if sha_of[photo_id] not in pixels_of:
                pixels_of[sha_of[photo_id]] = _pixels(photo_id, read)
        for equal in _groups((pixels_of[sha_of[photo_id]], photo_id) for photo_id in group):
            if len({sha_of[photo_id] for photo_id in equal}) > 1:
                found.append(equal)
    return found


def _pixels(photo_id: str, read: Callable[[str], bytes]) -> bytes:
    """Digest of all pixels and their shape; of the id where they cannot be had."""
    try:
        photo = decode(read(photo_id))
    except DataError:
        return photo_id.encode()
    return blake2b(photo.data, digest_size=16, person=str(photo.shape).encode()[:16]).digest()


def _groups(pairs: Iterable[tuple[Any, str]]) -> Groups:
    ids_of = defaultdict(list)
    for key, photo_id in pairs:
        ids_of[key].append(photo_id)
    return [ids for ids in ids_of.values() if len(ids) > 1]


def summary(groups: Sequence[Sequence[str]]) -> dict[str, Any]:
    """How many groups, how many photos in them, and the first groups."""
    return {
        "groups": len(groups),
        "photos": sum(len(group) for group in groups),
        "shown": [list(group)[:SHOWN] for group in groups[:SHOWN]],
    }
