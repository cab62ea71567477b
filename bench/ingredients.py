"""What each ingredient of a recipe brings: one change at a time, paired, on the same photos.

Photos outside the test fold are dealt into parts by sibling group. For each change and each part a
counter is trained on the other parts and judged on this one, by its last epoch, so that nothing is
chosen on the photos that judge. The test fold is never looked at. Each row is compared with the
first one, photo by photo, groups resampled. A finished part is not trained again: interrupt it, add
a change, and call it again.
"""

import argparse
import hashlib
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from stocktake.measure import bootstrap, metrics
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import scores, splits
from stocktake.stages import worker
from stocktake.store.tables import read_table, write_table

RESAMPLES = 2000
BASE: dict[str, Any] = {
    "backbone": "tf_efficientnet_lite0",
    "side_px": 112,
    "norms": "adapted",
    "epochs": 6,
    "max_count": 5,
    "better_by": "epoch",
    "loss": {"name": "soft-labels", "sigma": 0.6},
    "optimizer": {"name": "adamw", "lr": 3e-4},
}
CHANGES: dict[str, dict[str, Any]] = {
    "base": {},
    "norms of each batch, lr 0.001": {
        "norms": "batch",
        "optimizer": {"name": "adamw", "lr": 1e-3},
    },
    "cross-entropy": {"loss": "cross-entropy"},
    "corn": {"head": "corn", "loss": "cross-entropy"},
    "160 px": {"side_px": 160},
    "224 px": {"side_px": 224},
    "EMA 0.998": {"averaging": 0.998},
    "mixup 0.2": {"mixup": 0.2},
    "drop path 0.1, dropout 0.2": {
        "backbone": {"name": "tf_efficientnet_lite0", "drop_path": 0.1, "drop_rate": 0.2}
    },
    "layer-wise rates 0.8": {"layer_decay": 0.8},
    "12 epochs": {"epochs": 12},
    "no augmentation": {"augment": "none"},
    "Lite2": {"backbone": "tf_efficientnet_lite2"},
    "2 members": {"members": 2},
    "from random weights": {"weights": "none", "optimizer": {"name": "adamw", "lr": 1e-3}},
    "head alone": {"frozen_stages": -1, "epochs": 20, "optimizer": {"name": "adamw", "lr": 1e-3}},
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Photos:
    """Photos, how they are split, and into how many parts those outside the test fold are dealt."""

    ingest: Path
    split: Path
    parts: int
    newcomers: frozenset[str] = frozenset()
    """Ids that always train and never judge."""
    name: str = "parts"
    """Folder for the parts."""


def run(stage: str, output: Path, settings: dict[str, Any], **inputs: Path) -> RunFolder:
    """Make a run, or find it made."""
    given = {name: str(path) for name, path in inputs.items()}
    return worker.run_job(Job(stage=stage, settings=settings, inputs=given, output=str(output)))


def part_of(group: str, parts: int) -> int:
    """Which part a sibling group falls to."""
    return int(hashlib.sha256(f"parts:{group}".encode()).hexdigest()[:8], 16) % parts


def dealt(photos: Photos, folder: Path, part: int) -> Path:
    """A split whose val fold is this part, and whose train fold are the others."""
    if RunFolder(folder).exists():
        return folder
    table = read_table(photos.split / "artifacts" / "split.parquet", format=splits.FORMAT)
    columns = [table[name].to_pylist() for name in ("photo_id", "fold", "group")]
    folds = [
        "test"
        if fold == "test"
        else "val"
        if photo_id not in photos.newcomers and part_of(group, photos.parts) == part
        else "train"
        for photo_id, fold, group in zip(*columns, strict=True)
    ]
    place = table.schema.get_field_index("fold")
    made = table.set_column(place, "fold", pa.array(folds, table["fold"].type))
    run = RunFolder.begin(folder, about={"stage": "split", "fingerprint": f"{part}"}, settings={})
    write_table(run.artifact("split.parquet"), made, format=splits.FORMAT)
    run.close("done", result={})
    return folder


def judged(
    work: Path, name: str, settings: dict[str, Any], photos: Photos, parts: list[int]
) -> tuple[NDArray[np.float64], NDArray[np.int64], NDArray[np.str_]]:
    """(log_probs (N, K), true counts, groups) of all parts together."""
    found = []
    for part in parts:
        slug = name.replace(" ", "-").replace(",", "")
        folder = work / f"{slug}-seed-{settings['seed']}" / str(part)
        folder.mkdir(parents=True, exist_ok=True)
        split = dealt(photos, work / photos.name / str(part), part)
        data = {"photos": photos.ingest, "split": split}
        run("train", folder / "train", settings, **data)
        wanted = {"folds": ["val"], "views": 4, "heatmaps": 0}
        scored = run("score", folder / "score", wanted, **data, checkpoint=folder / "train")
        found.append(read_table(scored.artifact("scores.parquet"), format=scores.FORMAT))
    table = pa.concat_tables(found).sort_by("photo_id")
    groups = table["group"].to_numpy(zero_copy_only=False).astype(str)
    return scores.matrix(table).astype(np.float64), scores.counts(table), groups


def natural(work: Path, real: Path, parts: int) -> Photos:
    """The photos of counts 1-5 in a folder, brought in and split."""
    run("ingest", work / "ingest", {"source": str(real.resolve()), "counts": "1-5"})
    run("split", work / "split", {}, photos=work / "ingest")
    return Photos(ingest=work / "ingest", split=work / "split", parts=parts)


def row(name: str, log_probs: NDArray[Any], first: NDArray[Any], counts: Any, groups: Any) -> str:
    """A line of the table: figures, and the difference to the first."""
    kept = [
        one[:, 1:] - np.logaddexp.reduce(one[:, 1:], axis=1)[:, None] for one in (log_probs, first)
    ]
    right, before = ((one.argmax(axis=1) + 1 == counts) * 1.0 for one in kept)
    loss, loss_before = (-one[np.arange(len(counts)), counts - 1] for one in kept)
    means = np.exp(kept[0]) @ np.arange(1, kept[0].shape[1] + 1)
    statistics = {
        "right": metrics.mean_of(right),
        "rmse": metrics.root_of((np.floor(means + 0.5) - counts) ** 2),
        "nll": metrics.mean_of(loss),
        "gain": metrics.mean_of(right - before),
        "loss": metrics.mean_of(loss - loss_before),
    }
    e = bootstrap.estimates(statistics, groups, resamples=RESAMPLES, seed=0)
    return (
        f"| {name} | {100 * e['right'].value:.1f} % | {e['rmse'].value:.3f} |"
        f" {e['nll'].value:.3f} |"
        f" {100 * e['gain'].value:+.1f} ({100 * e['gain'].low:.1f} to {100 * e['gain'].high:.1f}) |"
        f" {e['loss'].value:+.3f} ({e['loss'].low:.3f} to {e['loss'].high:.3f}) |"
    )


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="bin-images/ and metadata/")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--parts", type=int, default=3, help="into which photos are dealt")
    parser.add_argument("--judge", type=int, default=3, help="how many of them are judged")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--change", action="append", help="name of a change; all if left out")
    parser.add_argument("--more", type=Path, help="TOML file of further changes, a table each")
    given = parser.parse_args()
    changes = dict(CHANGES)
    if given.more:
        changes |= tomllib.loads(given.more.read_text())
    photos = natural(given.work, given.real, given.parts)
    print("| change | right | RMSE | NLL | right, points more | NLL, more |")
    print("|---|--:|--:|--:|--:|--:|")
    first = None
    for name in dict.fromkeys(["base", *(given.change or changes)]):
        settings = BASE | changes[name] | {"seed": given.seed}
        parts = list(range(given.judge))
        log_probs, counts, groups = judged(given.work, name, settings, photos, parts)
        first = log_probs if first is None else first
        print(row(name, log_probs, first, counts, groups), flush=True)
    print(f"\nn = {len(counts)} photos in {len(set(groups))} groups, seed {given.seed}")


if __name__ == "__main__":
    main()
