"""Listing: which photos a place holds, or a list file names, before any is looked at.

The layout is the public bucket's: bin-images/ID.jpg with metadata/ID.json. Ids are text, never
numbers: `01044` and `1044` are two photos.
"""

import hashlib
import json
import re
from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice, pairwise
from pathlib import Path
from typing import overload

from stocktake.errors import DataError
from stocktake.store.entries import Entries
from stocktake.store.objects import Entry, Store

PHOTOS = "bin-images"
METADATA = "metadata"

_PHOTO_NAME = re.compile(r"(?P<id>[^/\x00-\x1f\x7f]+)\.jpe?g", re.IGNORECASE)
_METADATA_NAME = re.compile(r"(?P<id>[^/\x00-\x1f\x7f]+)\.json", re.IGNORECASE)
_LISTED_NAME = re.compile(r"(?:data/)?metadata/(?P<id>[^/\\\x00-\x1f\x7f]+)\.json")


@dataclass(frozen=True, kw_only=True, slots=True)
class Listed:
    """One photo that the source lists, not yet looked at."""

    photo_id: str
    photo_key: str | None
    """None: the listing has metadata only."""
    metadata_key: str | None
    """None: the listing has the photo only."""
    photo: Entry | None = None
    """What the store's listing says of the photo; None if it was not asked."""
    metadata: Entry | None = None
    """The same of the metadata."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Reject:
    """One listed thing that was not taken; the fields of rejects/1."""

    photo_id: str
    source: str
    reason: str
    detail: str


@dataclass(frozen=True, kw_only=True, slots=True)
class Listing:
    """Everything that a source lists: photos by rising id, and what cannot be one."""

    photos: Sequence[Listed]
    rejects: list[Reject]
    digest: str = ""
    """SHA-256, hex, over names, sizes and versions of all that the store listed."""


class _Files:
    """The files of one folder that have an id, by rising id, each id once; packed."""

    def __init__(self, entries: Entries, places: Sequence[int]) -> None:
        self._entries = entries
        self._places = places

    def __len__(self) -> int:
        return len(self._places)

    def __getitem__(self, number: int) -> Entry:
        return self._entries[self._places[number]]

    def id_of(self, number: int) -> str:
        return _id(self._entries.key(self._places[number]))


class Photos(Sequence[Listed]):
    """Listed photos by rising id; each is unpacked when it is asked for.

    Args:
        photos: the photo files.
        records: the metadata files.
    """

    def __init__(self, photos: _Files, records: _Files) -> None:
        self._photos = photos
        self._records = records
        self._pairs = array("q")  # number of the photo, number of the metadata, and so on; or -1
        for pair in _paired(photos, records):
            self._pairs.extend(pair)

    def __len__(self) -> int:
        """Photos listed, those without a file or without metadata too."""
        return len(self._pairs) // 2

    @overload
    def __getitem__(self, place: int) -> Listed: ...
    @overload
    def __getitem__(self, place: slice) -> list[Listed]: ...
    def __getitem__(self, place: int | slice) -> Listed | list[Listed]:
        """The photo in that place, or those in a range of places."""
        if isinstance(place, slice):
            return [self[i] for i in range(*place.indices(len(self)))]
        number, record_number = self._pairs[2 * place], self._pairs[2 * place + 1]
        photo = self._photos[number] if number >= 0 else None
        record = self._records[record_number] if record_number >= 0 else None
        return Listed(
            photo_id=self._photos.id_of(number) if photo else self._records.id_of(record_number),
            photo_key=photo.key if photo else None,
            metadata_key=record.key if record else None,
            photo=photo,
            metadata=record,
        )


def list_all(store: Store) -> Listing:
    """Every photo and metadata file in the store.

    Raises:
        DataError: if there is none; the line says what was looked for and what is there.
    """
    made = hashlib.sha256()
    rejects: list[Reject] = []
    photos = _by_id(_listed(store, PHOTOS, made), PHOTOS, _PHOTO_NAME, rejects)
    records = _by_id(_listed(store, METADATA, made), METADATA, _METADATA_NAME, rejects)
    if not len(photos):
        raise DataError(_nothing(store, rejects))
    return Listing(photos=Photos(photos, records), rejects=rejects, digest=made.hexdigest())


def list_from(path: Path) -> Listing:
    """The photos that a list file names: class -> list of `data/metadata/ID.json`.

    A photo's true count comes from its metadata, not from its class in the list. The first mention
    counts; each further one is a reject.

    Raises:
        DataError: if the file is missing, is not of that form or names nothing.
    """
    mentions: dict[str, list[str]] = {}
    rejects: list[Reject] = []
    for group, name in _mentions(path):
        match = _LISTED_NAME.fullmatch(name)
        if match is None or match["id"].startswith("."):
            detail = f"listed under {group}; expected data/metadata/ID.json"
            rejects.append(reject("", name, "bad-name", detail))
        else:
            mentions.setdefault(match["id"], []).append(group)
    for photo_id, groups in mentions.items():
        detail = f"listed {len(groups)} times, under {', '.join(groups)}; taken once"
        again = reject(photo_id, f"{METADATA}/{photo_id}.json", "listed-twice", detail)
        rejects += [again] * (len(groups) - 1)
    if not mentions and not rejects:
        raise DataError(f"{path} names no photo; expected class -> [data/metadata/ID.json]")
    listed = [
        Listed(
            photo_id=photo_id,
            photo_key=f"{PHOTOS}/{photo_id}.jpg",
            metadata_key=f"{METADATA}/{photo_id}.json",
        )
        for photo_id in sorted(mentions)
    ]
    return Listing(photos=listed, rejects=rejects)


def digest(store: Store) -> str:
    """The `Listing.digest` of all that `list_all` would list."""
    made = hashlib.sha256()
    for folder in (PHOTOS, METADATA):
        _listed(store, folder, made)
    return made.hexdigest()


def _listed(store: Store, folder: str, made: "hashlib._Hash") -> Entries:
    """The folder's objects; what is said of each goes into the hash, in the order of their keys."""
    entries = Entries()
    for entry in store.list(folder):
        entries.append(entry)
    for place in entries.by_key():
        made.update(ascii(entries.facts(place)).encode())
    return entries


def _by_id(entries: Entries, folder: str, name: re.Pattern[str], rejects: list[Reject]) -> _Files:
    """The files of a folder by photo id; what has another name becomes a reject."""
    places = array("Q")
    for place in entries.by_key():
        key = entries.key(place)
        if name.fullmatch(key.removeprefix(f"{folder}/")) and _is_text(key):
            places.append(place)
        else:
            ending = "json" if folder == METADATA else "jpg"
            rejects.append(reject("", key, "bad-name", f"expected {folder}/ID.{ending}"))

    def id_of(place: int) -> str:
        return _id(entries.key(place))

    if all(one < two for one, two in pairwise(map(id_of, places))):
        return _Files(entries, places)
    once = array("Q")
    for place in sorted(places, key=id_of):  # of equal ids, the first by key stays the first
        if once and id_of(once[-1]) == id_of(place):
            detail = f"{entries.key(once[-1])} has the same id; that one was taken"
            rejects.append(reject(id_of(place), entries.key(place), "listed-twice", detail))
        else:
            once.append(place)
    return _Files(entries, once)


def _id(key: str) -> str:
    """The photo id in the key of a file that has one, as in bin-images/ID.jpg."""
    return key[key.rindex("/") + 1 : key.rindex(".")]


def _paired(photos: _Files, records: _Files) -> Iterator[tuple[int, int]]:
    """Numbers of photo and metadata of every id, by rising id; -1 where there is none."""
    ones, twos = _numbered(photos), _numbered(records)
    (one_id, one), (two_id, two) = next(ones), next(twos)
    while one >= 0 or two >= 0:
        has_one = one >= 0 and (two < 0 or one_id <= two_id)
        has_two = two >= 0 and (one < 0 or two_id <= one_id)
        yield one if has_one else -1, two if has_two else -1
        if has_one:
            one_id, one = next(ones)
        if has_two:
            two_id, two = next(twos)


def _numbered(files: _Files) -> Iterator[tuple[str, int]]:
    """Id and number of every file, then -1 for the end."""
    for number in range(len(files)):
        yield files.id_of(number), number
    yield "", -1


def _mentions(path: Path) -> Iterator[tuple[str, str]]:
    """(class, name) of every line of a list file."""
    form = "expected JSON, class -> [data/metadata/ID.json]"
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        raise DataError(f"there is no list file {path}; {form}") from None
    except (OSError, ValueError, RecursionError) as err:
        raise DataError(f"{path} cannot be read ({' '.join(str(err).split())}); {form}") from err
    if not isinstance(found, dict):
        raise DataError(f"{path} holds no classes; {form}")
    for group, names in found.items():
        if not isinstance(names, list) or not all(isinstance(name, str) for name in names):
            raise DataError(f"{path}: class '{group}' is no list of names; {form}")
        yield from ((group, name) for name in names)


def _nothing(store: Store, rejects: list[Reject]) -> str:
    tops = sorted({_top(entry.key) for entry in islice(store.list(), 10_000)})
    shown = ", ".join(tops[:8]) + (" ..." if len(tops) > 8 else "")
    if rejects:
        shown += f" with {len(rejects)} files of other names, the first {rejects[0].source}"
    return (
        f"{store.address} has no photos: looked for {PHOTOS}/ID.jpg and {METADATA}/ID.json,"
        f" found {shown or 'nothing'}; name the folder that holds {PHOTOS}/"
    )


def _top(key: str) -> str:
    first, slash, _ = key.partition("/")
    return _printable(first) + slash


def reject(photo_id: str, source: str, reason: str, detail: str) -> Reject:
    """A reject whose texts every file can hold."""
    return Reject(
        photo_id=_printable(photo_id),
        source=_printable(source),
        reason=reason,
        detail=_printable(detail),
    )


def _is_text(name: str) -> bool:
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _printable(text: str) -> str:
    """Text that every file can hold: bytes that are not UTF-8 are shown as escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
