"""Image folders: a split's photos as test/3/ID.jpg, which any image-folder tool reads; verified."""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from stocktake.errors import DataError
from stocktake.store.objects import Store

FOLDERS = {"train": "train", "val": "valid", "calib": "calib", "test": "test"}
"""Folder of every fold. The 2024 report had train, valid and test; calib has no part there, and is
kept out of train, which it must not reach, and of valid, so that valid is the fold val."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Uploaded:
    """What lies at the address now."""

    photos: int
    """Photos there, each read back and equal to ours."""
    found: int
    """Those of them that were there already."""
    size_bytes: int
    """Size of all."""


def keys_of(split: Sequence[Mapping[str, Any]]) -> dict[str, str]:
    """Key -> photo_id of every row of a split, as in valid/3/00017.jpg -> 00017."""
    return {
        f"{FOLDERS[row['fold']]}/{row['count']}/{row['photo_id']}.jpg": row["photo_id"]
        for row in split
    }


def upload(
    store: Store,
    keys: Mapping[str, str],
    *,
    jpeg_of: Callable[[str], bytes],
    in_flight: int = 16,
    progress: Callable[[int], None] = lambda done: None,
) -> Uploaded:
    """Bring every photo to its key, read all back, and list the place once more.

    What is there with the same bytes is left alone: an interrupted upload goes on, a second one
    changes nothing.

    Args:
        store: where they shall lie.
        keys: photo_id by key, see `keys_of`.
        jpeg_of: the photo file of an id; called from several threads.
        in_flight: photos on their way at once.
        progress: told how many are there.

    Raises:
        DataError: if other objects lie in these folders, as an image-folder tool would read them
            too; if the place does not answer, or has other bytes afterwards.
    """
    there = _listed(store)
    strays = sorted(there.keys() - keys.keys())
    if strays:
        raise DataError(
            f"{store.address} holds {len(strays)} objects that are not of this split, the first"
            f" is {strays[0]}; remove them, or name another place"
        )

    def bring(key: str) -> tuple[bool, int]:
        jpeg = jpeg_of(keys[key])
        was_there = there.get(key) == len(jpeg) and store.read(key) == jpeg
        if not was_there:
            store.write(key, jpeg)
            if store.read(key) != jpeg:
                raise DataError(
                    f"{store.address}/{key} has other bytes than were written; split again"
                )
        return was_there, len(jpeg)

    found, sizes = 0, {}
    for key, (was_there, size_bytes) in _many(bring, sorted(keys), in_flight):
        found += was_there
        sizes[key] = size_bytes
        progress(len(sizes))
    _compare(store.address, sizes, _listed(store))
    return Uploaded(photos=len(sizes), found=found, size_bytes=sum(sizes.values()))


def _listed(store: Store) -> dict[str, int]:
    """Size by key of everything in our folders."""
    return {entry.key: entry.size_bytes for name in FOLDERS.values() for entry in store.list(name)}


def _compare(address: str, sizes: Mapping[str, int], listed: Mapping[str, int]) -> None:
    for key in sorted(sizes.keys() | listed.keys()):
        if sizes.get(key) != listed.get(key):
            raise DataError(
                f"{address}/{key} is listed with {listed.get(key, 'no')} bytes, expected"
                f" {sizes.get(key, 'none')}; is somebody else writing there? split again"
            )


def _many(
    work: Callable[[str], tuple[bool, int]], keys: Sequence[str], in_flight: int
) -> Iterator[tuple[str, tuple[bool, int]]]:
    """What `work` makes of every key, in order; as many wait in memory as are in flight."""
    with ThreadPoolExecutor(in_flight, thread_name_prefix="upload") as pool:
        ahead: deque[tuple[str, Future[tuple[bool, int]]]] = deque()
        try:
            for key in keys:
                ahead.append((key, pool.submit(work, key)))
                if len(ahead) > 2 * in_flight:
                    done, future = ahead.popleft()
                    yield done, future.result()
            while ahead:
                done, future = ahead.popleft()
                yield done, future.result()
        finally:
            for _, future in ahead:
                future.cancel()
