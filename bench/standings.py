"""Recipes beside each other on one test fold: seeds averaged, each paired with the first recipe.

    python bench/standings.py report=runs/r0,runs/r1,runs/r2 laptop=runs/l0,runs/l1,runs/l2

Each word names a recipe and its finished runs of `stocktake run`, one a seed, all of the same test
fold. Shares are means over a recipe's seeds, photo by photo; their intervals resample sibling
groups and so hold the doubt of the photos; the least and the most of the seeds stand beside it.
Rules that look at no photo are judged on the same rows.
"""

import argparse
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from stocktake.data import siblings
from stocktake.data.leaks import Neighbours
from stocktake.measure import bootstrap, decoding, metrics, paired
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores, splits
from stocktake.schema.cards import Estimate, ScoreCard
from stocktake.stages import evaluate
from stocktake.store.shards import PhotoShards
from stocktake.store.tables import read_table

RESAMPLES = 2000
Array = NDArray[np.float64]


@dataclass(frozen=True, kw_only=True, slots=True)
class Recipe:
    """Answers of S seeds to the same N photos."""

    name: str
    photo_ids: list[str]
    groups: NDArray[np.str_]
    counts: NDArray[np.int64]
    said: NDArray[np.int64]
    """(S, N), decoded as each run was judged."""
    means: NDArray[np.int64]
    """(S, N), decoded by the mean."""
    loss: Array
    """(S, N), negative log-likelihood of the true count."""
    ece: list[float]
    covered: list[float]


def recipe_of(word: str) -> Recipe:
    """Read a recipe's runs; SystemExit where they are of different photos."""
    name, _, folders = word.partition("=")
    said, means, loss, cards = [], [], [], []
    photo_ids: list[str] = []
    for folder in map(Path, folders.split(",")):
        run = RunFolder(folder / "evaluate")
        settings = evaluate.EvaluateSettings(**run.settings())
        card = ScoreCard.read(run.artifact("scorecard.json"))
        rows, log_probs, answers = evaluate.as_judged(RunFolder(folder / "score"), settings, card)
        found = rows["photo_id"].to_pylist()
        if photo_ids and found != photo_ids:
            raise SystemExit(f"{folder} was judged on other photos than the run before it")
        photo_ids, counts = found, scores.counts(rows)
        groups = rows["group"].to_numpy(zero_copy_only=False).astype(str)
        said.append(answers)
        means.append(decoding.decode(log_probs, "mean"))
        loss.append(-np.log(np.clip(metrics.true_probabilities(log_probs, counts), 1e-6, 1)))
        cards.append(card)
    return Recipe(
        name=name,
        photo_ids=photo_ids,
        groups=groups,
        counts=counts,
        said=np.stack(said),
        means=np.stack(means),
        loss=np.stack(loss),
        ece=[card.metrics["ece"].value for card in cards],
        covered=[card.metrics["covered"].value for card in cards],
    )


def share(estimate: Estimate) -> str:
    """A share in percent with its interval."""
    values = (estimate.value, estimate.low, estimate.high)
    return "{:.1f} % ({:.1f} to {:.1f})".format(*(100 * value for value in values))


def row(one: Recipe, first: Recipe) -> str:
    """A recipe's line of the table."""
    right, theirs = ((r.said == r.counts).mean(axis=0) for r in (one, first))
    statistics = {
        "right": metrics.mean_of(right),
        "near": metrics.mean_of((abs(one.said - one.counts) <= 1).mean(axis=0)),
        "near by mean": metrics.mean_of((abs(one.means - one.counts) <= 1).mean(axis=0)),
        "rmse": metrics.root_of(((one.means - one.counts) ** 2.0).mean(axis=0)),
        "nll": metrics.mean_of(one.loss.mean(axis=0)),
    }
    e = bootstrap.estimates(statistics, one.groups, resamples=RESAMPLES, seed=0)
    seeds = 100 * (one.said == one.counts).mean(axis=1)
    more = "" if one is first else gain(right, theirs, one.groups)
    return (
        f"| {one.name} | {len(seeds)} | {share(e['right'])} | {seeds.min():.1f} to"
        f" {seeds.max():.1f} % | {share(e['near'])} | {share(e['near by mean'])} |"
        f" {e['rmse'].value:.2f} ({e['rmse'].low:.2f} to {e['rmse'].high:.2f}) |"
        f" {e['nll'].value:.3f} ({e['nll'].low:.3f} to {e['nll'].high:.3f}) |"
        f" {np.mean(one.ece):.3f} | {100 * np.mean(one.covered):.1f} % | {more} |"
    )


def gain(right: Array, theirs: Array, groups: NDArray[np.str_]) -> str:
    """Points more than the first recipe, paired."""
    statistics = metrics.mean_of(theirs), metrics.mean_of(right)
    d = paired.difference(*statistics, groups, resamples=RESAMPLES, seed=0)
    return f"{100 * d.value:+.1f} ({100 * d.low:.1f} to {100 * d.high:.1f}), p = {d.p:.4f}"


def rules(folder: Path, first: Recipe) -> list[str]:
    """Lines of the rules that look at no photo, on the first recipe's rows."""
    photos = PhotoShards.open(folder / "ingest" / "artifacts" / "photos").rows(["jpeg"])
    photos = photos.sort_by("photo_id")
    path = folder / "split" / "artifacts" / "split.parquet"
    split = read_table(path, format=splits.FORMAT).sort_by("photo_id")
    found = Neighbours(photos, siblings.find(photos).pairs)
    audit = found.audit(split["fold"].to_numpy(zero_copy_only=False))
    place_of = {photo_id: i for i, photo_id in enumerate(first.photo_ids)}
    ids = photos["photo_id"].to_pylist()
    kept = [(i, place_of[ids[at]]) for i, at in enumerate(audit.photos) if ids[at] in place_of]
    lines = []
    for name in ("majority", "neighbour"):
        said = np.zeros(len(first.counts), dtype=np.int64)
        for i, place in kept:
            said[place] = audit.said[name][i]
        off = said - first.counts
        statistics = {
            "right": metrics.mean_of((off == 0) * 1.0),
            "near": metrics.mean_of((abs(off) <= 1) * 1.0),
            "rmse": metrics.root_of(off**2.0),
        }
        e = bootstrap.estimates(statistics, first.groups, resamples=RESAMPLES, seed=0)
        root = f"{e['rmse'].value:.2f} ({e['rmse'].low:.2f} to {e['rmse'].high:.2f})"
        lines.append(
            f"| {name} rule | | {share(e['right'])} | | {share(e['near'])} | | {root} | | | | |"
        )
    return lines


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("recipes", nargs="+", help="NAME=RUN,RUN")
    given = parser.parse_args()
    found = [recipe_of(word) for word in given.recipes]
    first = found[0]
    print(
        "| recipe | seeds | right | by seed | within one | within one, mean | RMSE, mean | NLL |"
        " ECE | covered | right, points more |"
    )
    print("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
    run = Path(given.recipes[0].partition("=")[2].split(",")[0])
    for line in rules(run, first):
        print(line)
    for one in found:
        if one.photo_ids != first.photo_ids:
            raise SystemExit(f"{one.name} was judged on other photos than {first.name}")
        print(row(one, first))
    print(f"\nn = {len(first.counts)} photos in {len(set(first.groups))} groups")


if __name__ == "__main__":
    main()
