"""A folder as a Store."""

import errno
import os
from collections.abc import Iterator
from pathlib import Path

from stocktake.errors import DataError, nearest
from stocktake.store.objects import (
    Entry,
    Missing,
    Refused,
    check_arrived,
    check_key,
    check_size,
)
from stocktake.store.tables import told_where


class LocalStore:
    """The files below a folder.

    Raises:
        DataError: if there is no such folder; the line names the nearest one.
    """

    lists_fast = True

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self._root = Path(address).expanduser()
        if not self._root.is_dir():
            raise DataError(_no_folder(self._root))

    def list(self, prefix: str = "") -> Iterator[Entry]:
        """Every file below the folder `prefix`; files whose name begins with a dot are no objects.

        Raises:
            DataError: if a folder may not be read.
        """
        if prefix:
            check_key(prefix)
        yield from self._walk(self._root / prefix, f"{prefix}/" if prefix else "")

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        """The file's bytes. Raises Missing, Refused, or Garbled if its size is not as listed."""
        check_key(key)
        where = f"{self.address}/{key}"
        try:
            with (self._root / key).open("rb") as file:
                check_size(where, os.fstat(file.fileno()).st_size)
                data = file.read()
        except (FileNotFoundError, NotADirectoryError):
            raise Missing(f"{where} is not there") from None
        except OSError as err:
            raise Refused(f"{where} cannot be read ({err.strerror or str(err)})") from err
        if listed is not None:
            check_arrived(where, data, listed.size_bytes)
        return data

    def exists(self, key: str) -> bool:
        """Whether there is a file of that key."""
        check_key(key)
        return (self._root / key).is_file()

    def write(self, key: str, data: bytes) -> None:
        """Make or replace the file, whole or not at all; one writer per key at a time.

        Raises:
            Refused: if the folder does not take it.
            OSError: if the disk is full.
        """
        check_key(key)
        path = self._root / key
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _write_whole(path, data)
        except OSError as err:
            if err.errno == errno.ENOSPC:
                raise
            reason = err.strerror or str(err)
            raise Refused(f"{self.address}/{key} cannot be written ({reason}); check it") from err

    def _walk(self, folder: Path, prefix: str) -> Iterator[Entry]:
        try:
            found = list(os.scandir(folder))
        except FileNotFoundError:
            return
        except OSError as err:
            raise DataError(f"{folder} cannot be listed ({err.strerror}); check it") from err
        for item in found:
            if item.name.startswith("."):
                continue
            if item.is_dir():
                yield from self._walk(folder / item.name, f"{prefix}{item.name}/")
            else:
                yield _entry(item, f"{prefix}{item.name}")


def _write_whole(path: Path, data: bytes) -> None:
    """Write beside the file, then in its place; what a kill leaves there the next write takes."""
    part = path.with_name(f".{path.name}.part")
    try:
        with told_where(part), part.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except BaseException:
        part.unlink(missing_ok=True)
        raise


def _entry(item: os.DirEntry[str], key: str) -> Entry:
    try:
        facts = item.stat()
    except OSError:  # a dangling link: reading it will say so
        return Entry(key=key, size_bytes=0, version="")
    return Entry(key=key, size_bytes=facts.st_size, version=str(facts.st_mtime_ns))


def _no_folder(path: Path) -> str:
    """One line that helps to find the folder that was meant."""
    if path.exists():
        return f"{path} is a file, not a folder; name the folder it is in"
    parent = path.parent
    while not parent.is_dir() and parent != parent.parent:
        parent = parent.parent
    wanted = path.relative_to(parent).parts[0]
    try:
        folders = [item.name for item in os.scandir(parent) if item.is_dir()]
    except OSError:
        folders = []
    shown = sorted(name for name in folders if not name.startswith("."))
    advice = nearest(wanted, shown if len(shown) <= FOLDERS_SHOWN else _like(wanted, shown))
    return f"there is no folder {path}; in {parent}, {advice}"


FOLDERS_SHOWN = 20


def _like(wanted: str, names: list[str]) -> list[str]:
    from difflib import get_close_matches

    return get_close_matches(wanted, names, n=1, cutoff=0.6) or names[:FOLDERS_SHOWN]
