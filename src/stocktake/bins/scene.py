"""Scenes: which items lie in which bin, and how the same bin looks one pick or stow later.

Photo n depends on the seed and on n alone, not on how many photos there are.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from math import log
from random import Random

from stocktake.bins import mix, placing
from stocktake.bins.catalog import PRODUCTS, Product, product
from stocktake.bins.solids import Placed, Pocket

PX_PER_IN = 36.0
"""Pixels per inch in photos of ABID's sizes: makes pockets 9 to 21 inches wide."""
FILL = (0.45, 0.55)
"""Share of the opening that a bin's items are meant to take when put in to save room: mean and
spread of its logarithm. Real bins look six tenths full, whatever their count."""
LETTERS = "ABCDEFGHIJ"
"""Rows of a shelf, A at the bottom."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scene:
    """One photo before it is painted."""

    photo_id: str
    group: int
    """Number of the sibling group; siblings show the same bin."""
    size_px: tuple[int, int]
    pocket: Pocket
    left_in: float
    """Where the photo's left edge lies, inches from the pocket's left edge; negative."""
    below_in: float
    """Where the photo's lower edge lies, inches from the pocket's floor; negative."""
    label: str
    """Column and row on the shelf: 3G."""
    items: tuple[Placed, ...]
    bin_seed: int
    """Tells the looks of one bin (bands, colours) from those of the next; siblings share it."""
    photo_seed: int
    """Tells the looks of one photo (light, blur, noise) from those of the next."""

    @property
    def count(self) -> int:
        """How many items the bin holds."""
        return len(self.items)

    def quantities(self) -> dict[int, int]:
        """How many of every product, by product number."""
        return dict(Counter(item.product.number for item in self.items))


def scene(seed: int, photo: int, *, max_count: int = mix.MAX_COUNT) -> Scene:
    """The scene of photo number `photo`, 0 for the first.

    Args:
        seed: what sets one warehouse apart from another.
        photo: number of the photo, 0 or more; its id is one more, in five digits.
        max_count: highest count, 1 to 10.
    """
    group, member, first = locate(seed, photo)
    found = _group(seed, group, max_count)[member]
    return replace(found, photo_id=f"{first + member + 1:05d}")


def locate(seed: int, photo: int) -> tuple[int, int, int]:
    """Sibling group of a photo, its place in it, and the number of the group's first photo."""
    block, left = divmod(photo, mix.PHOTOS_PER_BLOCK)
    for place, size in enumerate(mix.groups_of_block(seed, block)):
        if left < size:
            return block * len(mix.GROUPS) + place, left, photo - left
        left -= size
    raise AssertionError("the groups of a block hold all its photos")


@lru_cache(maxsize=8)
def _group(seed: int, group: int, max_count: int) -> tuple[Scene, ...]:
    block, place = divmod(group, len(mix.GROUPS))
    photos = mix.groups_of_block(seed, block)[place]
    rng = Random(f"scene {seed} {group} {max_count}")
    scenes = [_first(rng, group, photos, max_count)]
    while len(scenes) < photos:
        scenes.append(_later(rng, scenes[-1], max_count))
    return tuple(scenes)


def _first(rng: Random, group: int, photos: int, max_count: int) -> Scene:
    width_px, height_px = mix.photo_size(rng)
    width, height = width_px / PX_PER_IN, height_px / PX_PER_IN
    sides = max(0.0, rng.uniform(-0.03, 0.08)) * width
    rims = rng.uniform(0.1, 0.24) * height
    pocket = Pocket(
        width=width - sides,
        height=height - rims,
        depth=rng.uniform(10, 15),
        eye=(
            width * rng.uniform(0.3, 0.7),
            height * rng.uniform(0.5, 1.05),
            -rng.uniform(24, 36),
        ),
    )
    count = mix.first_count(rng, photos=photos, max_count=max_count)
    wanted = _wanted(rng, group, count, pocket)
    low, high = (0, 4) if height > 9.5 else (2, 10)
    return Scene(
        photo_id="",
        group=group,
        size_px=(width_px, height_px),
        pocket=pocket,
        left_in=-sides * rng.uniform(0.2, 0.8),
        below_in=-rims * rng.uniform(0.45, 0.75),
        label=f"{rng.randint(1, 4)}{rng.choice(LETTERS[low:high])}",
        items=tuple(_laid_out(rng, pocket, wanted)),
        bin_seed=rng.getrandbits(32),
        photo_seed=rng.getrandbits(32),
    )


def _later(rng: Random, before: Scene, max_count: int) -> Scene:
    """The same bin after one pick or stow, photographed anew."""
    count = mix.next_count(rng, before.count, max_count=max_count)
    change = count - before.count
    pocket = _moved(rng, before.pocket)
    items = [_nudged(rng, item) for item in before.items]
    if change < 0:
        items = placing.settled(_picked(rng, items, -change), pocket)
    wanted = _stowed(rng, before, change) if change > 0 else []
    added = placing.arrange(rng, pocket, wanted=wanted, around=items)
    if added is None or not placing.all_visible([*items, *added], pocket):
        kept = Counter(item.product.number for item in items)
        for new, quantity in wanted:
            kept[new.number] += quantity
        whole = [(product(number), quantity) for number, quantity in kept.items()]
        items, added = _laid_out(rng, pocket, whole), []
    return replace(
        before,
        size_px=mix.resized(before.size_px, rng.gauss(1, 0.02)),
        pocket=pocket,
        left_in=before.left_in + rng.gauss(0, 0.12),
        below_in=before.below_in + rng.gauss(0, 0.12),
        items=(*items, *added),
        photo_seed=rng.getrandbits(32),
    )


def _wanted(rng: Random, group: int, count: int, pocket: Pocket) -> list[tuple[Product, int]]:
    """Products and quantities of a fresh bin; smaller things where there are many."""
    if not count:
        return []
    quantities = mix.quantities(rng, count, mix.products_for(rng, count))
    found: dict[int, int] = {}
    for quantity in quantities:
        new = _product(rng, group, pocket, count, without=found)
        found[new.number] = quantity
    return [(product(number), quantity) for number, quantity in found.items()]


def _product(
    rng: Random, group: int, pocket: Pocket, count: int, *, without: dict[int, int]
) -> Product:
    """A product that is not there yet: of some that are drawn, the best to be one of `count`.

    Its number leaves the rest `group` mod 4, so near bins that are no siblings never share one:
    in ABID none of some 600 pairs of photos three or more apart do.
    """
    wanted = rng.lognormvariate(*FILL) * pocket.width * pocket.height / count
    best: Product | None = None
    for _ in range(9 if count < 4 else 6):
        new = product(4 * rng.randrange(PRODUCTS // 4) + group % 4)
        if new.number in without or not _fits(new, pocket):
            continue
        if best is None or abs(log(_edge(new) / wanted)) < abs(log(_edge(best) / wanted)):
            best = new
    if best is None:
        return _product(rng, group, pocket, count, without=without)
    return best


def _fits(new: Product, pocket: Pocket) -> bool:
    """Whether some way of putting it in leaves its true size."""
    length, _, height = new.size_in
    long, short = sorted((pocket.width, pocket.height), reverse=True)
    return length < 0.97 * long and height < 0.93 * short


def _edge(new: Product) -> float:
    """Square inches that a product takes of the opening, most of them on their side or lying."""
    length, width, height = new.size_in
    return length * (0.5 * min(width, height) + 0.5 * width)


def _laid_out(rng: Random, pocket: Pocket, wanted: Sequence[tuple[Product, int]]) -> list[Placed]:
    placed = placing.arrange(rng, pocket, wanted=wanted, around=[])
    if placed is None:
        each = [found for found, quantity in wanted for _ in range(quantity)]
        placed = placing.grid(rng, pocket, products=each)
    return placed


def _picked(rng: Random, items: list[Placed], picks: int) -> list[Placed]:
    """What is left after a pick; mostly all of one product, the topmost first."""
    chosen = rng.choice(items).product.number
    order = sorted(items, key=lambda item: (item.product.number != chosen, -item.y))
    gone = {id(item) for item in order[:picks]}
    return [item for item in items if id(item) not in gone]


def _stowed(rng: Random, before: Scene, stows: int) -> list[tuple[Product, int]]:
    """What came in: more of a product that is there, or a new one."""
    if rng.random() < 0.35:
        return [(rng.choice(before.items).product, stows)]
    there = before.quantities()
    count = before.count + stows
    return [(_product(rng, before.group, before.pocket, count, without=there), stows)]


def _moved(rng: Random, pocket: Pocket) -> Pocket:
    x, y, z = pocket.eye
    return replace(pocket, eye=(x + rng.gauss(0, 0.4), y + rng.gauss(0, 0.3), z))


def _nudged(rng: Random, item: Placed) -> Placed:
    return replace(
        item,
        x=item.x + rng.gauss(0, 0.06),
        lean=item.lean + rng.gauss(0, 0.01),
    )
