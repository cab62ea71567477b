"""Attempt: what became of a listing so far, written down so that the next call goes on from there.

The journal (attempt/1) is a file of JSON lines. The first names the format and the listing; each
further one tells what became of the photos up to a place in the listing: rejects, counts left out,
ids taken, and the shard that became whole, if one did.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from stocktake.data.listing import Listed, Listing, Reject
from stocktake.data.source import LeftOut, Outcome
from stocktake.runs import journal
from stocktake.store.kept import WholeShard, is_sound, spooled
from stocktake.store.shards import SPOOL, part_of

FORMAT = "attempt/1"
NOTED_EVERY = 20
"""Outcomes between two lines of the journal, at most."""


class Attempt:
    """One ingest of a listing, from where an earlier one was interrupted, or from the start.

    Args:
        journal: the file; one of another listing or format is written anew.
        folder: where the shards are to be; what was kept of them is beside it.
        listing: what is to be ingested.
    """

    def __init__(self, journal: Path, folder: Path, listing: Listing) -> None:
        self._journal = journal
        self._folder = folder
        self._photos = listing.photos
        self.rejects: list[Reject] = list(listing.rejects)
        """Every reject so far, those of the listing first."""
        self.other_counts: Counter[int] = Counter()
        """Photos left out so far, by their count."""
        self.seen = 0
        """Photos of the listing whose outcome is known, without a gap."""
        self.photos = 0
        """Photos taken so far, as far as they are with the writer of shards."""
        self.size_bytes = 0
        """Size of these."""
        self.kept: list[WholeShard] = []
        """Whole shards of earlier attempts."""
        self.whole: list[WholeShard] = []
        """Whole shards so far, those included."""
        self._settled = 0  # photos whose outcome is in whole shards or in the journal
        self._taken: list[str] = []  # after these, in order
        self._unwritten: dict[str, Any] = _nothing()
        self._resume(_mark(listing))
        self.whole += self.kept
        self._noted = self.seen

    @property
    def kept_outcomes(self) -> int:
        """Outcomes that need no fetching; right once `spooled` is through."""
        return self.seen - len(self._taken)

    def spooled(self) -> Iterator[dict[str, Any]]:
        """The rows after the last whole shard that are still on disk; then they are forgotten."""
        for row in spooled(self._spool):
            if not self._taken or row["photo_id"] != self._taken[0]:
                break
            self._taken.pop(0)
            self._add(row)
            yield row
        self._spool.unlink(missing_ok=True)

    def left(self) -> Iterator[Listed]:
        """Photos that are still to be fetched: taken ones whose bytes are lost, then the unseen."""
        lost, seen = set(self._taken), self.seen
        if lost:
            among = (self._photos[place] for place in range(self._settled, seen))
            yield from (photo for photo in among if photo.photo_id in lost)
        yield from (self._photos[place] for place in range(seen, len(self._photos)))

    def saw(self, outcome: Outcome) -> None:
        """Take account of what `left` named next; a photo goes to the writer of shards after it."""
        is_again = bool(self._taken)
        if is_again:
            self._taken.pop(0)
        else:
            self.seen += 1
        if isinstance(outcome, Reject):
            self.rejects.append(outcome)
            self._unwritten["rejects"].append(asdict(outcome))
        elif isinstance(outcome, LeftOut):
            self.other_counts[outcome.count] += 1
            self._unwritten["other_counts"][str(outcome.count)] += 1
        else:
            self._add(outcome)
            if not is_again:
                self._unwritten["taken"].append(outcome["photo_id"])

    def note(self, shard: WholeShard | None = None) -> None:
        """Write down what is not yet: with a shard that became whole always, else now and then."""
        if shard is None and self.seen < self._noted + NOTED_EVERY:
            return
        if shard is not None:
            self.whole.append(shard)
            self._unwritten["taken"] = []
        row = {"seen": self.seen, **self._unwritten}
        if shard is not None:
            row |= {"shard": asdict(shard), "photos": self.photos, "size_bytes": self.size_bytes}
        journal.append(self._journal, row)
        self._noted = self.seen
        self._unwritten = _nothing()

    def forget(self) -> None:
        """Let the next attempt begin from the start."""
        self._journal.unlink(missing_ok=True)

    @property
    def _spool(self) -> Path:
        return self._folder.with_name(f".{self._folder.name}.spool")

    def _add(self, row: dict[str, Any]) -> None:
        self.photos += 1
        self.size_bytes += len(row["jpeg"])

    def _resume(self, mark: str) -> None:
        """Read the journal as far as it can be trusted, and cut off the rest."""
        head = {"format": FORMAT, "listing": mark}
        rows = _read(self._journal)
        part = part_of(self._folder)
        trusted = [head]
        if rows and rows[0] == head:
            if self._folder.exists() and not part.exists():  # killed after the shards were whole
                self._folder.rename(part)
            for row in rows[1:]:
                if not self._trust(row, part):
                    break
                trusted.append(row)
            if (part / SPOOL).exists() and not self._spool.exists():
                (part / SPOOL).rename(self._spool)
        else:
            self._spool.unlink(missing_ok=True)
        lines = (json.dumps(row, ensure_ascii=False) + "\n" for row in trusted)
        journal.write_whole(self._journal, "".join(lines))

    def _trust(self, row: dict[str, Any], part: Path) -> bool:
        """Take over one line of the journal, if its shard is what the line says."""
        if "shard" in row:
            shard = WholeShard(**row["shard"])
            if not is_sound(part, shard):
                return False
            self.kept.append(shard)
            self.photos, self.size_bytes = row["photos"], row["size_bytes"]
            self._settled, self._taken = row["seen"], []
        self.seen = row["seen"]
        self.rejects += [Reject(**reject) for reject in row["rejects"]]
        for count, photos in row["other_counts"].items():
            self.other_counts[int(count)] += photos
        gone = {reject["photo_id"] for reject in row["rejects"]}
        self._taken = [i for i in self._taken if i not in gone] + row["taken"]
        return True


def _nothing() -> dict[str, Any]:
    return {"rejects": [], "other_counts": Counter(), "taken": []}


def _read(path: Path) -> list[dict[str, Any]]:
    """The lines of a journal; none if it is no journal."""
    try:
        return list(journal.read_lines(path))
    except (OSError, ValueError):
        return []


def _mark(listing: Listing) -> str:
    """SHA-256 over all that the listing says, hex."""
    made = hashlib.sha256()
    for photo in listing.photos:
        made.update(ascii(_facts(photo)).encode())
    for reject in listing.rejects:
        made.update(ascii((reject.photo_id, reject.source, reject.reason)).encode())
    return made.hexdigest()


def _facts(photo: Listed) -> Sequence[Any]:
    entries = (photo.photo, photo.metadata)
    seen = [(entry.size_bytes, entry.version) if entry else None for entry in entries]
    return photo.photo_id, photo.photo_key, photo.metadata_key, *seen
