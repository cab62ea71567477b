"""How far painted photos are from real ones: plain figures of the pixels, and of ImageNet features.

`--real` and `--painted` are folders in the bucket's layout, bin-images/ and metadata/. As many
painted photos as real ones are taken of every count, each squashed to 224 x 224 as for training.

The two-sample test is a logistic regression on features of EfficientNet-Lite0, cross-validated in
five folds that keep neighbouring ids, so siblings, together: an AUC of 0.5 cannot tell them apart.
The Frechet distance (Heusel et al. 2017, https://arxiv.org/abs/1706.08500) is between the same
features; it shrinks as n grows, so every pair compared has the same n, and real halves are shown.
"""

import argparse
import json
from collections import Counter, defaultdict
from pathlib import Path
from random import Random

import numpy as np
import torch
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from stocktake.imaging.preprocess import prepare
from stocktake.vision import weights
from stocktake.vision.backbones import backbones

SIDE_PX = 224
BACKBONE = "tf_efficientnet_lite0"
BATCH = 32
NEIGHBOURS = 10
"""So many ids in a row may show the same bin and share a fold of the test."""
HUES = ("red", "orange", "yellow", "lime", "green", "teal", "cyan", "azure", "blue", "violet",
        "magenta", "pink")  # fmt: skip
"""Twelve sectors of 30 degrees, red in the middle of the first."""
Array = NDArray[np.float64]
Photos = list[NDArray[np.uint8]]


def main() -> None:
    """Read both folders and print the tables."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--real", type=Path, required=True)
    parser.add_argument("--painted", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=400, help="of each kind")
    parser.add_argument("--lowest", type=int, default=1, help="count")
    parser.add_argument("--highest", type=int, default=5, help="count")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    counts = range(asked.lowest, asked.highest + 1)
    real_ids = sampled(ids_by_count(asked.real, counts), asked.photos, None, asked.seed)
    mix = Counter(count for _, count in real_ids)
    painted_ids = sampled(ids_by_count(asked.painted, counts), asked.photos, mix, asked.seed)
    real, painted = (
        opened(folder, ids)
        for folder, ids in ((asked.real, real_ids), (asked.painted, painted_ids))
    )
    by_count = ", ".join(f"{number} of {count}" for count, number in sorted(mix.items()))
    print(f"{len(real)} real and {len(painted)} painted photos by count: {by_count};", end=" ")
    print(f"seed {asked.seed}, {SIDE_PX} px\n")
    print_pixels(real, painted)
    print_features(features(real), features(painted), real_ids, painted_ids)


def ids_by_count(folder: Path, counts: range) -> dict[int, list[str]]:
    """Photo ids by true count, sorted."""
    found: dict[int, list[str]] = defaultdict(list)
    for file in sorted((folder / "metadata").glob("*.json")):
        count = json.loads(file.read_text())["EXPECTED_QUANTITY"]
        if count in counts:
            found[count].append(file.stem)
    return found


def sampled(
    found: dict[int, list[str]], photos: int, mix: Counter[int] | None, seed: int
) -> list[tuple[str, int]]:
    """Ids and counts, by id; as many of each count as in `mix`, or as they come."""
    rng = Random(seed)
    pairs = [(photo, count) for count, ids in sorted(found.items()) for photo in ids]
    if mix is None:
        return sorted(rng.sample(pairs, min(photos, len(pairs))))
    chosen = []
    for count, number in sorted(mix.items()):
        if len(found.get(count, [])) < number:
            raise SystemExit(f"{number} painted photos of count {count} are needed; paint more")
        chosen += [(photo, count) for photo in rng.sample(found[count], number)]
    return sorted(chosen)


def opened(folder: Path, ids: list[tuple[str, int]]) -> Photos:
    """The photos, uint8 (S, S, 3) each."""
    return [prepare((folder / f"bin-images/{i}.jpg").read_bytes(), SIDE_PX) for i, _ in ids]


def figures(photo: NDArray[np.uint8]) -> dict[str, float]:
    """Plain figures of one photo, uint8 (S, S, 3)."""
    rgb = photo.astype(np.float64)
    luma = rgb @ [0.299, 0.587, 0.114]  # (S, S)
    low, high = np.percentile(luma, [5, 95])
    most, least = rgb.max(axis=2), rgb.min(axis=2)
    laplace = (
        luma[:-2, 1:-1] + luma[2:, 1:-1] + luma[1:-1, :-2] + luma[1:-1, 2:] - 4 * luma[1:-1, 1:-1]
    )
    down, across = np.gradient(luma)
    return {
        "luma, mean": luma.mean(),
        "luma, standard deviation": luma.std(),
        "contrast, 95th - 5th percentile": high - low,
        "luma at the border / in the middle": border_to_middle(luma),
        "saturation, mean": ((most - least) / np.maximum(most, 1)).mean(),
        "sharpness, log10 variance of the Laplacian": np.log10(laplace.var() + 1e-9),
        "edges, share of pixels with gradient > 12": (np.hypot(down, across) > 12).mean(),
        "gradient down / across": np.abs(down).mean() / np.abs(across).mean(),
        "slope of the radial power spectrum": spectrum_slope(luma),
    }


def border_to_middle(luma: Array) -> float:
    """Light at the four sides by light in the middle half."""
    side = len(luma)
    edge, quarter = side // 10, side // 4
    border = np.concatenate([luma[:, :edge].ravel(), luma[:, -edge:].ravel()])
    return float(border.mean() / luma[quarter:-quarter, quarter:-quarter].mean())


def spectrum_slope(luma: Array) -> float:
    """Slope of log power over log frequency, from 4 cycles a photo to half the finest."""
    side = len(luma)
    window = np.hanning(side)
    power = np.abs(np.fft.fft2((luma - luma.mean()) * np.outer(window, window))) ** 2
    cycles = np.fft.fftfreq(side, 1 / side)
    rings = np.hypot(cycles[:, None], cycles[None, :]).astype(int).ravel()
    mean = np.bincount(rings, power.ravel()) / np.maximum(np.bincount(rings), 1)
    ring = np.arange(4, side // 4)
    return float(np.polyfit(np.log(ring), np.log(mean[ring] + 1e-9), 1)[0])


def hues(photo: NDArray[np.uint8]) -> Array:
    """Shares of saturated pixels (chroma over 20) in twelve sectors of hue, (12,)."""
    rgb = photo.reshape(-1, 3).astype(np.float64)
    chroma = rgb.max(axis=1) - rgb.min(axis=1)
    r, g, b = rgb[chroma > 20].T
    turn = np.degrees(np.arctan2(np.sqrt(3) * (g - b), 2 * r - g - b)) % 360
    shares = np.bincount(((turn + 15) // 30).astype(int) % 12, minlength=12)
    return shares / max(1, shares.sum())


def print_pixels(real: Photos, painted: Photos) -> None:
    """Medians and tenth to ninetieth percentiles, and how far apart the two are."""
    print("| figure | real, 10 - 50 - 90 % | painted, 10 - 50 - 90 % | KS |")
    print("|---|--:|--:|--:|")
    left, right = [figures(photo) for photo in real], [figures(photo) for photo in painted]
    for name in left[0]:
        a, b = (np.array([row[name] for row in rows]) for rows in (left, right))
        print(f"| {name} | {spread(a)} | {spread(b)} | {kolmogorov(a, b):.2f} |")
    shares = [np.mean([hues(photo) for photo in photos], axis=0) for photos in (real, painted)]
    apart = np.abs(shares[0] - shares[1]).sum() / 2
    print(f"\n| hue | {' | '.join(HUES)} |\n|---|{'--:|' * len(HUES)}")
    for name, row in zip(("real", "painted"), shares, strict=True):
        print(f"| {name} | " + " | ".join(f"{100 * share:.1f} %" for share in row) + " |")
    print(f"\nShare of hues that would have to move: {100 * apart:.1f} %\n")


def spread(values: Array) -> str:
    """Three percentiles as text."""
    return " - ".join(f"{value:.3g}" for value in np.percentile(values, [10, 50, 90]))


def kolmogorov(a: Array, b: Array) -> float:
    """Largest gap between two empirical distributions, 0 to 1."""
    at = np.sort(np.concatenate([a, b]))
    first, second = (np.searchsorted(np.sort(v), at, side="right") / len(v) for v in (a, b))
    return float(np.abs(first - second).max())


@torch.inference_mode()
def features(photos: Photos) -> Array:
    """ImageNet features of photos, (N, D)."""
    backbone = backbones.make(BACKBONE, side_px=SIDE_PX)
    weights.fill(backbone, weights.PRETRAINED)
    module = backbone.module.eval()
    mean, std = torch.tensor(backbone.mean), torch.tensor(backbone.std)
    found = []
    for first in range(0, len(photos), BATCH):
        pixels = torch.from_numpy(np.stack(photos[first : first + BATCH])).float() / 255
        found.append(module(((pixels - mean) / std).permute(0, 3, 1, 2)).numpy())
    return np.concatenate(found).astype(np.float64)


def frechet(a: Array, b: Array) -> float:
    """Frechet distance between two samples, (N, D) each, taken as Gaussian.

    The trace of the root of the product of covariances is the sum of the singular values of A B'.
    """
    scaled = [(x - x.mean(axis=0)) / (len(x) - 1) ** 0.5 for x in (a, b)]
    means = ((a.mean(axis=0) - b.mean(axis=0)) ** 2).sum()
    both = sum((x**2).sum() for x in scaled)
    return float(means + both - 2 * np.linalg.svd(scaled[0] @ scaled[1].T, compute_uv=False).sum())


def auc(
    a: Array, b: Array, ids_a: list[tuple[str, int]], ids_b: list[tuple[str, int]]
) -> tuple[float, float]:
    """Cross-validated AUC of telling two samples apart, and its standard error (Hanley 1982)."""
    groups = [f"a{int(i) // NEIGHBOURS}" for i, _ in ids_a]
    groups += [f"b{int(i) // NEIGHBOURS}" for i, _ in ids_b]
    is_b = np.repeat([0, 1], [len(a), len(b)])
    judge = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=2000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    scores = cross_val_predict(
        judge, np.concatenate([a, b]), is_b, groups=groups, cv=folds, method="decision_function"
    )
    found = float(roc_auc_score(is_b, scores))
    q1, q2 = found / (2 - found), 2 * found**2 / (1 + found)
    rest = (len(a) - 1) * (q1 - found**2) + (len(b) - 1) * (q2 - found**2)
    return found, float(max(0.0, (found * (1 - found) + rest) / (len(a) * len(b))) ** 0.5)


def print_features(
    real: Array, painted: Array, real_ids: list[tuple[str, int]], painted_ids: list[tuple[str, int]]
) -> None:
    """AUC and Frechet distances; halves are of first and last ids, so siblings stay together."""
    half = len(real) // 2
    one, other, fake_one, fake_other = real[:half], real[half:], painted[:half], painted[half:]
    pairs = [(x, y) for x in (one, other) for y in (fake_one, fake_other)]
    apart = [frechet(x, y) for x, y in pairs]
    print(f"| {BACKBONE} features | real and real | real and painted | painted and painted |")
    print("|---|--:|--:|--:|")
    print(
        f"| Frechet distance, n = {half} and {half} | {frechet(one, other):.1f} |"
        f" {np.mean(apart):.1f} ({min(apart):.1f} to {max(apart):.1f}) |"
        f" {frechet(fake_one, fake_other):.1f} |"
    )
    same, same_error = auc(one, other, real_ids[:half], real_ids[half:])
    found, error = auc(real, painted, real_ids, painted_ids)
    print(f"| AUC, 5 folds | {same:.3f} ± {same_error:.3f} | {found:.4f} ± {error:.4f} | |")


if __name__ == "__main__":
    main()
