"""Photos made on the spot, in place of shards, or in shards of a finished run of ingest."""

from collections.abc import Sequence
from functools import cache
from pathlib import Path

from stocktake.runs.folder import RunFolder
from stocktake.store.shards import ShardWriter
from stocktake.testing.samples import squares


class Drawn:
    """Gives photo `i` with i mod 4 squares; counts how often each was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def jpegs(self, photo_ids: Sequence[str]) -> list[bytes]:
        """The files of these photos; the one called "bad" is broken."""
        self.asked += photo_ids
        return [b"broken" if i == "bad" else squares(int(i) % 4, seed=int(i)) for i in photo_ids]


@cache
def _squares(count: int) -> bytes:
    return squares(count, seed=count)


def ingested(path: Path, counts: dict[str, int], **more: bytes) -> RunFolder:
    """A finished run of ingest: photos of one product each by id, with their true counts.

    `more` gives photos of other bytes by id.
    """
    run = RunFolder.begin(path, about={"stage": "ingest", "inputs": {}}, settings={})
    with ShardWriter(run.artifact("photos")) as shards:
        for photo_id, count in sorted(counts.items()):
            item = {"asin": f"A{photo_id}", "name": None, "quantity": count, "weight_lb": None}
            sizes = {"height_in": 1.0, "length_in": 2.0, "width_in": 1.0 + int(photo_id) % 7}
            shards.add(
                {
                    "photo_id": photo_id,
                    "jpeg": more.get(photo_id) or _squares(count % 4),
                    "width_px": 96,
                    "height_px": 96,
                    "count": count,
                    "items": [item | sizes] if count else [],
                    "source": f"{photo_id}.jpg",
                    "sha256": f"of {photo_id}",
                }
            )
    run.close("done", result={"photos": len(counts)})
    return run
