"""The mix of a real warehouse: how many items, products, siblings and pixels a bin photo has.

Every number was measured on the Amazon Bin Image Dataset (ABID, CC BY-NC-SA 3.0 US), metadata of
natural ids 00001-09999, n = 8,765; photo sizes on the originals of ids 00001-00700, n = 700.
"""

from functools import lru_cache
from random import Random

MAX_COUNT = 10
PHOTOS_BY_COUNT = (159, 669, 1264, 1518, 1321, 1022, 718, 558, 392, 288, 207)
"""Photos with 0, 1, ... 10 items; 649 of the 8,765 hold more."""
PRODUCTS_BY_COUNT = (
    (1.0,),
    (0.252, 0.748),
    (0.095, 0.432, 0.473),
    (0.077, 0.297, 0.375, 0.251),
    (0.062, 0.244, 0.334, 0.252, 0.109),
    (0.054, 0.220, 0.326, 0.230, 0.120, 0.050),
    (0.047, 0.231, 0.283, 0.237, 0.099, 0.072, 0.032),
    (0.048, 0.202, 0.281, 0.212, 0.145, 0.048, 0.033, 0.031),
    (0.066, 0.205, 0.264, 0.240, 0.111, 0.045, 0.024, 0.028, 0.017),
    (0.082, 0.150, 0.290, 0.222, 0.145, 0.048, 0.029, 0.019, 0.014),
)
"""Row k - 1: shares of bins with k items that hold 1, 2, ... different products."""
SHARE_BY_CHANGE = {
    -5: 0.002, -4: 0.007, -3: 0.012, -2: 0.067, -1: 0.501, 0: 0.009, 1: 0.229, 2: 0.089, 3: 0.039,
    4: 0.028, 5: 0.011, 6: 0.006, 7: 0.005, 8: 0.005, 9: 0.001,
}  # fmt: skip
"""Change of the count from one sibling to the next (3,076 pairs, both counts 10 or less)."""
GROUPS = (1,) * 24 + (2,) * 32 + (3,) * 4
"""Sizes of 60 sibling groups with 100 photos: of neighbouring photos, 40 % show the same bin, as
in ABID (40.1 % of 7,677 pairs share a product; 2,206 singles, 2,852 pairs, 285 triples)."""
PHOTOS_PER_BLOCK = sum(GROUPS)
SIZES_PX = (
    (639, 1057), (362, 547), (371, 561), (723, 981), (332, 424), (412, 527), (438, 561),
    (487, 633), (513, 677), (509, 580), (566, 540), (583, 564), (598, 580), (611, 592), (658, 636),
    (340, 311), (348, 320), (423, 373), (583, 507), (586, 557), (517, 448), (604, 525), (453, 347),
    (474, 365), (599, 444), (593, 439), (690, 511), (360, 246), (367, 251), (370, 254), (377, 257),
    (379, 259), (380, 260), (385, 263), (390, 266), (396, 270), (401, 273), (405, 277), (417, 284),
    (421, 287), (488, 290), (496, 296), (509, 302), (516, 308), (524, 311), (532, 316), (546, 324),
    (558, 331),
)  # fmt: skip
"""Width and height of every fifteenth photo, by shape; width 315 to 785, height 240 to 1069."""
WIDTHS_PX = (315, 785)
HEIGHTS_PX = (240, 1069)


def shares_of_counts(max_count: int) -> tuple[float, ...]:
    """Share of photos with 0, 1, ... `max_count` items: ABID's, cut there, sum 1."""
    kept = PHOTOS_BY_COUNT[: max_count + 1]
    return tuple(photos / sum(kept) for photos in kept)


def first_count(rng: Random, *, photos: int, max_count: int) -> int:
    """The count of a group's first photo; an empty bin has no siblings, for nothing tells them."""
    shares = list(shares_of_counts(max_count))
    alone = GROUPS.count(1) / PHOTOS_PER_BLOCK
    empty = min(1.0, shares[0] / alone) if photos == 1 else 0.0
    if rng.random() < empty:
        return 0
    return rng.choices(range(1, max_count + 1), weights=shares[1:])[0]


def next_count(rng: Random, before: int, *, max_count: int) -> int:
    """The count of the next sibling, such that all siblings together keep the mix of counts."""
    weights = _changes(max_count)[before - 1]
    return rng.choices(range(1, max_count + 1), weights=weights)[0]


def products_for(rng: Random, count: int) -> int:
    """How many different products a bin of `count` >= 1 items holds."""
    shares = PRODUCTS_BY_COUNT[count - 1]
    return rng.choices(range(1, len(shares) + 1), weights=shares)[0]


def quantities(rng: Random, count: int, products: int) -> list[int]:
    """`count` items shared out over `products`, each at least one."""
    cuts = sorted(rng.sample(range(1, count), products - 1))
    return [high - low for low, high in zip([0, *cuts], [*cuts, count], strict=True)]


def photo_size(rng: Random) -> tuple[int, int]:
    """Width and height of a photo, pixels."""
    width, height = rng.choice(SIZES_PX)
    return resized((width, height), rng.uniform(0.96, 1.06))


def resized(size: tuple[int, int], scale: float) -> tuple[int, int]:
    """A size times `scale`, held inside what ABID has."""
    width = min(max(round(size[0] * scale), WIDTHS_PX[0]), WIDTHS_PX[1])
    return width, min(max(round(size[1] * scale), HEIGHTS_PX[0]), HEIGHTS_PX[1])


@lru_cache(maxsize=64)
def groups_of_block(seed: int, block: int) -> tuple[int, ...]:
    """Sizes of the sibling groups in photos 100 * block ... 100 * block + 99, in order."""
    sizes = list(GROUPS)
    Random(f"groups {seed} {block}").shuffle(sizes)
    return tuple(sizes)


@lru_cache(maxsize=16)
def _changes(max_count: int) -> list[list[float]]:
    """Shares of pairs (before, after), counts 1 to max_count; rows and columns sum to the mix.

    The measured changes, scaled row by row and column by column until they keep the mix (Sinkhorn);
    without that, chains of siblings would drift away from ABID's counts.
    """
    wanted = shares_of_counts(max_count)[1:]
    numbers = range(max_count)
    table = [[SHARE_BY_CHANGE.get(b - a, 1e-4) * wanted[b] for b in numbers] for a in numbers]
    for _ in range(300):
        table = [[v * wanted[a] / sum(table[a]) for v in table[a]] for a in numbers]
        sums = [sum(table[a][b] for a in numbers) for b in numbers]
        table = [[table[a][b] * wanted[b] / sums[b] for b in numbers] for a in numbers]
    return table
