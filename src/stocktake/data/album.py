"""Album: photos without their records, each by its place in the order of keys, wherever they lie.

A folder, a bucket, or the shards of an ingest; all that is kept in memory is the listing.
"""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Protocol

from stocktake.data import retry
from stocktake.data.retry import PatientReader, Unanswered
from stocktake.errors import DataError
from stocktake.store.address import open_store
from stocktake.store.entries import Entries
from stocktake.store.objects import Garbled, Missing, Refused, Store
from stocktake.store.shards import PhotoShards, by_shard

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
"""Of keys that are photos, in any case."""
AT_ONCE = 1000
"""Rows of a listing made into Python's values at once."""


class Album(Protocol):
    """Photos in rising order of their keys; safe to read from several threads."""

    digest: str
    """Differs when another photo is there, one is gone, or one was written anew."""

    def __len__(self) -> int:
        """Photos in it."""
        ...

    def key(self, place: int) -> str:
        """Key of the photo in that place, from 0: where it lies below its address."""
        ...

    def photo_id(self, place: int) -> str:
        """Its name: that of the file without the ending, or as the ingest had it."""
        ...

    def read(self, place: int) -> bytes | str:
        """The photo file, or why this one cannot be had.

        Raises:
            DataError: if the place as a whole does not answer.
        """
        ...

    def close(self) -> None:
        """End the waits of all threads that read."""
        ...


def open_album(
    source: str, *, limit: int = 0, endpoint_url: str = "", anonymous: bool = False
) -> Album:
    """The photos at an address.

    Args:
        source: a folder or s3://BUCKET/PREFIX, of which every JPEG, PNG and WEBP counts; or shards
            of photos, by their own folder, that of their ingest, or that of a run with an ingest.
        limit: take only the first photos by key, this many; 0 for all.
        endpoint_url: an S3-compatible server; empty for AWS.
        anonymous: send no credentials, as for a public bucket.

    Raises:
        SettingsError: if the address is empty or of a kind we do not know.
        DataError: if it is not there, holds no photo, or a shard is damaged.
    """
    shards = shards_at(source)
    if shards is not None:
        return ShardAlbum(shards, limit=limit)
    store = open_store(source, endpoint_url=endpoint_url, anonymous=anonymous)
    return StoreAlbum(store, limit=limit)


def shards_at(source: str) -> Path | None:
    """The folder of shards that an address means, if it means one."""
    scheme, separator, rest = source.partition("://")
    if not source or separator and scheme != "file":
        return None
    folder = Path(rest if separator else source).expanduser()
    for inside in ("", "artifacts/photos", "ingest/artifacts/photos"):
        if next((folder / inside).glob("part-*.parquet"), None):
            return folder / inside
    return None


class StoreAlbum:
    """The photo files below a store's address.

    Raises:
        DataError: if there is none.
    """

    def __init__(self, store: Store, *, limit: int = 0) -> None:
        self._entries = Entries()
        for entry in store.list():
            if entry.key.lower().endswith(ENDINGS):
                self._entries.append(entry)
        if not len(self._entries):
            raise DataError(
                f"{store.address} holds no photo; expected files that end in {', '.join(ENDINGS)},"
                " or the shards of an ingest, part-*.parquet"
            )
        order = self._entries.by_key()
        self._order = order[:limit] if limit else order
        self._reader = PatientReader(store, away_s=retry.AWAY_S)
        self.digest = _digest(self._entries.facts(place) for place in self._order)

    def __len__(self) -> int:
        """Photos in it."""
        return len(self._order)

    def key(self, place: int) -> str:
        """See `Album.key`; a byte that is no UTF-8 is written as \\xNN, as a table needs it."""
        return _printable(self._entries.key(self._order[place]))

    def photo_id(self, place: int) -> str:
        """The file's name without its ending; equal ones are told apart by their keys."""
        name = self.key(place).rpartition("/")[2]
        return name.rpartition(".")[0] or name

    def read(self, place: int) -> bytes | str:
        """See `Album.read`; a file that is not as it was listed is asked for a few times."""
        entry = self._entries[self._order[place]]
        try:
            return self._reader.read(entry.key, listed=entry)
        except (Missing, Refused, Garbled, Unanswered) as err:
            return _printable(str(err))

    def close(self) -> None:
        """See `Album.close`."""
        self._reader.close()


class ShardAlbum:
    """The photos in a folder of shards, in the order of their ids.

    Raises:
        DataError: if there is none, or a shard is damaged or of another format.
    """

    def __init__(self, folder: Path, *, limit: int = 0) -> None:
        import pyarrow as pa

        self._shards = PhotoShards.open(folder)
        self._photos = min(limit, len(self._shards)) if limit else len(self._shards)
        if not self._photos:
            raise DataError(f"the shards in {folder} hold no photo; ingest some")
        found = by_shard(folder, ("photo_id", "source", "sha256"))
        rows = pa.concat_tables(found).slice(0, self._photos)
        self._photo_ids, self._keys = rows["photo_id"], rows["source"]
        self.digest = _digest(
            facts
            for batch in rows.to_batches(max_chunksize=AT_ONCE)
            for facts in zip(*(column.to_pylist() for column in batch.columns), strict=True)
        )

    def __len__(self) -> int:
        """Photos in it."""
        return self._photos

    def key(self, place: int) -> str:
        """Key that the photo was ingested from."""
        return str(self._keys[place].as_py())

    def photo_id(self, place: int) -> str:
        """Its id."""
        return str(self._photo_ids[place].as_py())

    def read(self, place: int) -> bytes | str:
        """See `Album.read`; a damaged shard hurts only the photos that cannot be read from it."""
        try:
            return self._shards.jpeg(place)
        except DataError as err:
            return str(err)

    def close(self) -> None:
        """Nothing waits here."""


def _digest(facts: Iterable[tuple[Any, ...]]) -> str:
    """SHA-256 over what a listing says of each photo, hex."""
    made = hashlib.sha256()
    for one in facts:
        made.update(ascii(one).encode())
    return made.hexdigest()


def _printable(text: str) -> str:
    return text.encode("utf-8", "backslashreplace").decode()
