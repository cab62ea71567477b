"""How right a counter is by the number of photos it learnt from, and what more would bring.

As bench/ingredients.py: photos outside the test fold are dealt into parts by sibling group, one
judges and the others train, here the first so many of them (`train.limit`, nested). `--also` names
a folder with the same photos and further ones, which then train as well. A straight line of
accuracy over the logarithm of the number is drawn through the points and read at 50,000 and
325,000; the interval resamples the groups judged, all points at once, so it does not hold the doubt
whether the line stays straight.
"""

import argparse
from pathlib import Path

import numpy as np
from ingredients import BASE, RESAMPLES, Photos, judged, natural, run
from numpy.typing import NDArray

from stocktake.measure import bootstrap, metrics
from stocktake.runs.folder import RunFolder
from stocktake.schema import splits
from stocktake.store.tables import read_table

AHEAD = (50_000, 325_000)


def ids_of(split: Path) -> list[str]:
    """Ids of the photos in a split."""
    table = read_table(split / "artifacts" / "split.parquet", format=splits.FORMAT)
    ids: list[str] = table["photo_id"].to_pylist()
    return ids


def widened(work: Path, also: Path, photos: Photos) -> Photos:
    """The same photos with those of another folder beside them, which only train."""
    source = {"source": str(also.resolve()), "counts": "1-5"}
    run("ingest", work / "ingest-also", source)
    settings = {"keep": str((work / "split").resolve()), "newcomers": "train"}
    run("split", work / "split-also", settings, photos=work / "ingest-also")
    return Photos(
        ingest=work / "ingest-also",
        split=work / "split-also",
        parts=photos.parts,
        newcomers=frozenset(ids_of(work / "split-also")) - frozenset(ids_of(photos.split)),
        name="parts-also",
    )


def trained_on(folder: Path) -> int:
    """Photos that a training learnt from."""
    counts = RunFolder(folder).result()["train_counts"]
    return int(sum(counts.values()))


def line_at(sizes: list[int], right: NDArray[np.float64], ahead: int) -> metrics.Statistic:
    """Accuracy at `ahead` photos by the least-squares line through all points.

    Args:
        sizes: M numbers of photos learnt from.
        right: (N, M), whether each photo was counted right after learning from so many.
        ahead: where the line is read.
    """
    at = np.stack([np.ones(len(sizes)), np.log10(sizes)], axis=1)  # (M, 2)
    weights = np.array([1, np.log10(ahead)]) @ np.linalg.pinv(at)  # (M,)
    return metrics.Statistic(right, lambda means: means @ weights)


def main() -> None:
    """Train what is not trained yet, and print the curve."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--real", type=Path, required=True, help="bin-images/ and metadata/")
    parser.add_argument("--also", type=Path, help="a folder with these photos and further ones")
    parser.add_argument("--work", type=Path, required=True, help="folder for the runs")
    parser.add_argument("--limits", type=int, nargs="+", default=[1000, 2000, 0])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--parts", type=int, default=3)
    given = parser.parse_args()
    photos = natural(given.work, given.real, given.parts)
    takings = [(limit, photos) for limit in given.limits]
    if given.also:
        takings.append((0, widened(given.work, given.also, photos)))
    sizes, rights = [], []
    print("| photos learnt from | right | within one | RMSE, mean | NLL |")
    print("|--:|--:|--:|--:|--:|")
    for limit, taken in takings:
        found = []
        for seed in given.seeds:
            name = f"limit {limit}" if taken is photos else "also"
            settings = BASE | {"limit": limit, "seed": seed}
            log_probs, counts, groups = judged(given.work, name, settings, taken, [0])
            folder = given.work / f"{name.replace(' ', '-')}-seed-{seed}" / "0" / "train"
            kept = log_probs[:, 1:] - np.logaddexp.reduce(log_probs[:, 1:], axis=1)[:, None]
            found.append(kept)
        size = trained_on(folder)
        said = np.stack([one.argmax(axis=1) + 1 for one in found])  # (seeds, N)
        means = np.stack([np.exp(one) @ np.arange(1, one.shape[1] + 1) for one in found])
        losses = np.stack([-one[np.arange(len(counts)), counts - 1] for one in found])
        right = (said == counts).mean(axis=0)
        statistics = {
            "right": metrics.mean_of(right),
            "near": metrics.mean_of((abs(said - counts) <= 1).mean(axis=0)),
            "rmse": metrics.root_of(((np.floor(means + 0.5) - counts) ** 2).mean(axis=0)),
            "nll": metrics.mean_of(losses.mean(axis=0)),
        }
        e = bootstrap.estimates(statistics, groups, resamples=RESAMPLES, seed=0)
        shares = " | ".join(
            f"{100 * e[k].value:.1f} % ({100 * e[k].low:.1f} to {100 * e[k].high:.1f})"
            for k in ("right", "near")
        )
        rest = f"{e['rmse'].value:.3f} | {e['nll'].value:.3f}"
        print(f"| {size:,} | {shares} | {rest} |", flush=True)
        sizes.append(size)
        rights.append(right)
    ahead = {str(n): line_at(sizes, np.stack(rights, axis=1), n) for n in AHEAD}
    e = bootstrap.estimates(ahead, groups, resamples=RESAMPLES, seed=0)
    for n in AHEAD:
        at = e[str(n)]
        print(f"{n:,} photos: {100 * at.value:.0f} % ({100 * at.low:.0f} to {100 * at.high:.0f})")
    print(f"n = {len(counts)} in {len(set(groups))} groups, seeds {given.seeds}")


if __name__ == "__main__":
    main()
