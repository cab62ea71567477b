"""What can go wrong, as a tree; the number is the exit code of the command line.

StocktakeError            1   base; one line is printed, the log keeps the trace
├── SettingsError         2   the caller asked for something impossible
├── DataError             3   a photo, shard, table or bundle is not what its schema says
├── RunError              4   a run folder is missing, unfinished, of another stage or version
└── EngineError           5   a job could not be sent, died, or was refused

A message has four parts: where, what was found, what was expected, what to do.
"""

import errno
from collections.abc import Iterable
from difflib import get_close_matches


class StocktakeError(Exception):
    """Base of every error a user can meet; its text is one line."""

    exit_code = 1


class SettingsError(StocktakeError):
    """The caller asked for something impossible."""

    exit_code = 2


class DataError(StocktakeError):
    """A photo, shard, table or bundle is not what its schema says."""

    exit_code = 3


class RunError(StocktakeError):
    """A run folder is missing, unfinished, of another stage or of another version."""

    exit_code = 4


class EngineError(StocktakeError):
    """A job could not be sent, died, or was refused."""

    exit_code = 5


def nearest(word: str, known: Iterable[str]) -> str:
    """A clause for error texts: the known name nearest to `word`, else the list of them."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1, cutoff=0.6)
    if close:
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names) or 'none'}"


def from_os(error: OSError) -> StocktakeError:
    """The one line a user should read for a failure of the file system."""
    where = f"{error.filename}: " if error.filename else ""
    if error.errno == errno.ENOSPC:
        return StocktakeError(f"{where}the disk is full; free some space, then run it again")
    if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS):
        return StocktakeError(f"{where}may not be written or read; check who owns it")
    return StocktakeError(f"{where}{error.strerror or error}")


def not_installed(who: str, error: ModuleNotFoundError) -> StocktakeError:
    """The one line for a library that comes with an extra which was not installed."""
    return StocktakeError(
        f"{who} needs the library {error.name}, which is not installed here;"
        " pip install 'stocktake[train]' to train, 'stocktake[serve]' to predict and serve"
    )


def by_name(name: str, message: str) -> StocktakeError:
    """The error of class `name` (as kept in run.json) with this message; unknown: the base."""
    kinds = (SettingsError, DataError, RunError, EngineError)
    return {kind.__name__: kind for kind in kinds}.get(name, StocktakeError)(message)
