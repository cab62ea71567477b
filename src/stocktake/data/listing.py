"""Listing: which photos a place holds, or a list file names, before any is looked at.

The layout is the public bucket's: bin-images/ID.jpg with metadata/ID.json. Ids are text, never
numbers: `01044` and `1044` are two photos.
"""

import hashlib
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

from stocktake.errors import DataError
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

    photos: list[Listed]
    rejects: list[Reject]


def list_all(store: Store) -> Listing:
    """Every photo and metadata file in the store.

    Raises:
        DataError: if there is none; the line says what was looked for and what is there.
    """
    rejects: list[Reject] = []
    photos = _by_id(store, PHOTOS, _PHOTO_NAME, rejects)
    records = _by_id(store, METADATA, _METADATA_NAME, rejects)
    if not photos:
        raise DataError(_nothing(store, rejects))
    listed = [
        Listed(
            photo_id=photo_id,
            photo_key=_key(photos.get(photo_id)),
            metadata_key=_key(records.get(photo_id)),
            photo=photos.get(photo_id),
            metadata=records.get(photo_id),
        )
        for photo_id in sorted(photos.keys() | records.keys())
    ]
    return Listing(photos=listed, rejects=rejects)


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
    """SHA-256, hex, over names, sizes and versions of all that `list_all` would list."""
    made = hashlib.sha256()
    for folder in (PHOTOS, METADATA):
        for entry in sorted(store.list(folder), key=lambda entry: entry.key):
            made.update(ascii((entry.key, entry.size_bytes, entry.version)).encode())
    return made.hexdigest()


def _by_id(
    store: Store, folder: str, name: re.Pattern[str], rejects: list[Reject]
) -> dict[str, Entry]:
    """The files in a folder by photo id; what has another name becomes a reject."""
    found: dict[str, Entry] = {}
    for entry in sorted(store.list(folder), key=lambda entry: entry.key):
        key = entry.key
        match = name.fullmatch(key.removeprefix(f"{folder}/"))
        ending = "json" if folder == METADATA else "jpg"
        if match is None or not _is_text(key):
            detail = f"expected {folder}/ID.{ending}"
            rejects.append(reject("", key, "bad-name", detail))
        elif match["id"] in found:
            detail = f"{found[match['id']].key} has the same id; that one was taken"
            rejects.append(reject(match["id"], key, "listed-twice", detail))
        else:
            found[match["id"]] = entry
    return found


def _key(entry: Entry | None) -> str | None:
    return None if entry is None else entry.key


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
