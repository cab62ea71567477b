"""Samples: tiny photos with known counts, as the finished runs a stage takes; for tests.

Each photo shows as many bright squares on grey as its count says: a task that even a tiny network
learns in seconds.
"""

import io
from pathlib import Path

import numpy as np
import pyarrow as pa
from PIL import Image

from stocktake.runs.folder import RunFolder
from stocktake.schema import splits
from stocktake.store.shards import ShardWriter
from stocktake.store.tables import write_table

SIDE_PX = 64
CELL_PX = 16


def squares(count: int, *, seed: int) -> bytes:
    """A JPEG of 64 x 64 pixels with `count` squares in it, 0 to 16."""
    rng = np.random.default_rng(seed)
    photo = rng.integers(90, 130, size=(SIDE_PX, SIDE_PX, 3)).astype(np.uint8)
    in_a_row = SIDE_PX // CELL_PX
    for cell in rng.permutation(in_a_row**2)[:count]:
        top, left = (int(v) * CELL_PX + 2 for v in divmod(int(cell), in_a_row))
        photo[top : top + 12, left : left + 12] = rng.integers(200, 256, size=3)
    packed = io.BytesIO()
    Image.fromarray(photo).save(packed, "JPEG", quality=90)
    return packed.getvalue()


def finished_run(folder: Path, stage: str) -> RunFolder:
    """A run folder of that stage with status done and nothing in it yet."""
    run = RunFolder.begin(folder, about={"stage": stage}, settings={})
    run.close("done", result={})
    return run


def photos_run(folder: Path, *, photos: int = 60, max_count: int = 3, seed: int = 0) -> RunFolder:
    """A run of `ingest` with photos of 0 to `max_count` squares, the counts in turn."""
    run = finished_run(folder, "ingest")
    with ShardWriter(run.artifact("photos")) as shards:
        for number in range(photos):
            count = number % (max_count + 1)
            shards.add(
                {
                    "photo_id": f"{number:05d}",
                    "jpeg": squares(count, seed=seed * photos + number),
                    "width_px": SIDE_PX,
                    "height_px": SIDE_PX,
                    "count": count,
                    "items": [],
                    "source": f"bin-images/{number:05d}.jpg",
                    "sha256": "",
                }
            )
    return run


def split_run(folder: Path, *, photos: int = 60, max_count: int = 3) -> RunFolder:
    """A run of `split` for `photos_run` of the same size: blocks of ids, six tenths train."""
    run = finished_run(folder, "split")
    edges = [photos * tenths // 10 for tenths in (6, 8, 9, 10)]
    folds = [splits.FOLDS[int(np.searchsorted(edges, i, side="right"))] for i in range(photos)]
    ids = [f"{number:05d}" for number in range(photos)]
    counts = [number % (max_count + 1) for number in range(photos)]
    columns = {"photo_id": ids, "fold": folds, "group": ids, "count": counts}
    table = pa.table(columns, schema=splits.SCHEMA)
    write_table(run.artifact("split.parquet"), table, format=splits.FORMAT)
    return run
