"""What painted bins teach: trained on painted photos alone, and before training on real ones.

Three counters, each judged on the same test fold of real photos, siblings kept together:
painted alone, real alone, and real after painted. The last two are trained with several seeds;
their difference is paired, photo by photo, and averaged over the seeds. The test fold is opened
once for each. A finished part is not done again: interrupt it and call it again.
"""

import argparse
import subprocess
import sys
from pathlib import Path

import numpy as np
import tomli_w
from numpy.typing import NDArray

from stocktake.measure import bootstrap, metrics
from stocktake.schema import scores
from stocktake.store.tables import read_table
from stocktake.vision import checkpoints

RESAMPLES = 2000
COUNTS = "1-5"
SPLIT = {"kind": "siblings", "val_frac": 0.10, "calib_frac": 0.10, "test_frac": 0.15}


def recipe(epochs: int, side_px: int, seed: int) -> dict[str, object]:
    """How each of the counters is trained."""
    return {
        "backbone": "tf_efficientnet_lite0",
        "side_px": side_px,
        "epochs": epochs,
        "batch_size": 32,
        "loss": {"name": "soft-labels", "sigma": 0.6},
        "optimizer": {"name": "adamw", "lr": 1e-3},
        "max_count": 5,
        "seed": seed,
    }


def call(work: Path, command: str, name: str, tables: dict[str, object], *more: str) -> None:
    """Run one command on a settings file of that name."""
    file = work / f"{name}.toml"
    file.write_text(tomli_w.dumps({"name": name, **tables}))
    whole = [sys.executable, "-m", "stocktake", command, file.name, *more]
    subprocess.run(whole, cwd=work, check=True)


def painted(work: Path, given: argparse.Namespace) -> None:
    """Train on painted photos alone, judge by real ones."""
    tables = {
        "paint": {"photos": given.painted, "seed": 5, "max_count": 5},
        "ingest": {
            "source": "runs/painted/paint/artifacts/bucket",
            "counts": COUNTS,
            "side_px": given.side_px,
            "squash": True,
        },
        "split": {"val_frac": 0.10, "calib_frac": 0.03, "test_frac": 0.03},
        "train": recipe(given.painted_epochs, given.side_px, seed=0),
    }
    call(work, "run", "painted", tables)


def real(work: Path, name: str, given: argparse.Namespace, train: dict[str, object]) -> None:
    """Train on real photos and judge by them."""
    tables = {
        "ingest": {"source": str(given.real.resolve()), "counts": COUNTS},
        "split": SPLIT,
        "train": train,
        "score": {},
        "evaluate": {},
    }
    call(work, "run", name, tables)


def judged_by_real(work: Path) -> None:
    """Score the counter that saw painted photos alone on the real test fold."""
    inputs = ("--photos", "real-0", "--split", "real-0", "--checkpoint", "painted")
    call(work, "score", "painted-alone", {"score": {}}, *inputs)


def test_fold(
    work: Path, name: str
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.str_]]:
    """(said, true counts, sibling groups) of the test fold, each (N,)."""
    path = work / "runs" / name / "score" / "artifacts" / "scores.parquet"
    rows = scores.of_folds(read_table(path, format=scores.FORMAT), ["test"])
    said = scores.matrix(rows).argmax(axis=1)
    groups = rows["group"].to_numpy(zero_copy_only=False).astype(str)
    return said, rows["count"].to_numpy().astype(np.int64), groups


def table(work: Path, seeds: range) -> str:
    """Every counter's figures with intervals, and the paired gain."""
    lines = ["| counter | counted right | right or off by one | RMSE |", "|---|--:|--:|--:|"]
    names = ["painted-alone", *(f"{kind}-{seed}" for seed in seeds for kind in ("real", "both"))]
    right: dict[str, NDArray[np.bool_]] = {}
    for name in names:
        said, counts, groups = test_fold(work, name)
        right[name] = said == counts
        kinds = {
            "right": metrics.correct(said, counts),
            "near": metrics.near(said, counts),
            "rmse": metrics.squared(said, counts),
        }
        found = bootstrap.estimates(kinds, groups, resamples=RESAMPLES, seed=0)
        cells = [
            f"{100 * e.value:.1f} % ({100 * e.low:.1f} to {100 * e.high:.1f})"
            if kind != "rmse"
            else f"{e.value:.2f} ({e.low:.2f} to {e.high:.2f})"
            for kind, e in found.items()
        ]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    gain = np.mean([right[f"both-{s}"] * 1.0 - right[f"real-{s}"] for s in seeds], axis=0)
    always = np.bincount(counts).argmax()
    against = {
        "painted first, over real alone (paired, mean of the seeds)": gain,
        f"painted alone, over always {always}": right["painted-alone"] * 1.0 - (counts == always),
    }
    for name, terms in against.items():
        statistic = {name: metrics.mean_of(terms)}
        found = bootstrap.estimates(statistic, groups, resamples=RESAMPLES, seed=0)
        e = found[name]
        lines.append(
            f"\n{name}: {100 * e.value:+.1f} points ({100 * e.low:.1f} to {100 * e.high:.1f})"
        )
    lines.append(f"\nn = {len(counts)} photos in {len(set(groups))} groups, seeds {[*seeds]}")
    return "\n".join(lines)


def main() -> None:
    """Train what is not trained yet, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="bin-images/ and metadata/")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--painted", type=int, default=8000, help="photos to paint")
    parser.add_argument("--painted-epochs", type=int, default=6)
    parser.add_argument("--epochs", type=int, default=8, help="on real photos")
    parser.add_argument("--side-px", type=int, default=128)
    parser.add_argument("--seeds", type=int, default=2)
    given = parser.parse_args()
    given.work.mkdir(parents=True, exist_ok=True)
    seeds = range(given.seeds)
    painted(given.work, given)
    best = checkpoints.best(given.work / "runs/painted/train/artifacts/checkpoints")
    weights = best / "weights.safetensors"
    for seed in seeds:
        train = recipe(given.epochs, given.side_px, seed)
        real(given.work, f"real-{seed}", given, train)
        real(given.work, f"both-{seed}", given, {**train, "weights": str(weights.resolve())})
    judged_by_real(given.work)
    print(table(given.work, seeds))


if __name__ == "__main__":
    main()
