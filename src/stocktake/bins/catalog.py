"""The catalog: every product a painted bin can hold, made from its number alone.

The same number is the same product everywhere, whatever the seed of the photos.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from random import Random
from typing import Any

PRODUCTS = 200_000
"""Product numbers run from 0 to this; ABID has 459,476 ASINs, most of them seen once or twice."""

Colour = tuple[int, int, int]


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """A kind of product: how common it is and how large, from looking at some 200 real bins."""

    share: float
    size_in: tuple[float, float, float]
    """Typical length, width and height: longest first, except upright round things."""
    density: float
    """Pounds per cubic inch."""
    nouns: tuple[str, ...]


KINDS: Mapping[str, Kind] = {
    "box": Kind(
        share=0.27, size_in=(9.6, 7.0, 3.8), density=0.013,
        nouns=("Wall Charger", "Night Light", "Shaver", "Headphones", "Puzzle", "Tea Set",
               "Bulb", "Card Game", "Phone Case", "Coffee Filters", "Toy Car"),
    ),
    "carton": Kind(
        share=0.16, size_in=(10.8, 8.2, 5.4), density=0.014,
        nouns=("Oil Filter", "Brake Pads", "Replacement Part", "Door Handle", "Mug Set",
               "Cable Kit", "Bracket", "Faucet"),
    ),
    "book": Kind(
        share=0.16, size_in=(9.4, 6.6, 1.0), density=0.028,
        nouns=("Stories", "Handbook", "A Novel", "Field Guide", "Cookbook", "Atlas", "Workbook"),
    ),
    "polybag": Kind(
        share=0.18, size_in=(11.0, 8.6, 2.8), density=0.008,
        nouns=("T-Shirt", "Socks, 6 Pairs", "Leggings", "Scarf", "Pillow Cover", "Costume",
               "Cap", "Gloves", "Dog Toy", "Tights"),
    ),
    "pouch": Kind(
        share=0.08, size_in=(9.0, 6.6, 2.4), density=0.016,
        nouns=("Trail Mix", "Dog Treats", "Green Tea", "Protein Powder", "Dried Mango", "Coffee"),
    ),
    "mailer": Kind(
        share=0.06, size_in=(10.0, 7.4, 1.0), density=0.009,
        nouns=("Screen Protector", "Sticker Sheet", "Necklace", "Patch", "Filter Set"),
    ),
    "bottle": Kind(
        share=0.06, size_in=(7.6, 3.1, 3.1), density=0.025,
        nouns=("Shampoo", "Vitamin C", "Lotion", "Fish Oil", "Cleaner", "Sunscreen"),
    ),
    "tin": Kind(
        share=0.03, size_in=(4.0, 4.0, 3.6), density=0.022,
        nouns=("Shoe Cream", "Mints", "Hair Wax", "Candle", "Tape Roll", "Floss"),
    ),
}  # fmt: skip

BRANDS = (
    "Alder", "Boreal", "Cobalt", "Dunmore", "Elmwood", "Fennel", "Garnet", "Halden", "Iona",
    "Juniper", "Kestrel", "Larkin", "Marlow", "Norden", "Orrin", "Pellam", "Quill", "Rowan",
    "Sable", "Tamsin", "Umber", "Verity", "Wexford", "Yarrow", "Zephyr", "Brightly", "Oakline",
)  # fmt: skip
EXTRAS = (
    "Classic", "Mini", "Deluxe", "Travel Size", "Pack of 2", "Black", "Blue", "Large", "Organic",
    "Heavy Duty", "Kids", "Ultra", "Original", "New", "12 oz", "Second Edition",
)  # fmt: skip
COLOURS: tuple[Colour, ...] = (
    (240, 238, 232), (240, 238, 232), (232, 228, 220), (214, 210, 202), (196, 190, 182),
    (30, 30, 34), (30, 30, 34), (42, 42, 48), (60, 60, 68), (98, 96, 98), (146, 142, 140),
    (158, 48, 50), (176, 78, 66), (52, 76, 122), (72, 116, 160), (128, 164, 190), (62, 104, 76),
    (126, 146, 92), (206, 182, 104), (190, 134, 92), (104, 70, 106), (184, 116, 138), (112, 88, 70),
    (52, 92, 102),
)  # fmt: skip
KRAFT: tuple[Colour, ...] = ((172, 142, 110), (160, 132, 102), (184, 154, 120), (148, 122, 96))
NO_WEIGHT = 531 / 23162
"""Share of ABID's records without a weight."""
NO_SIZE = 37 / 23162
"""Share of ABID's records without height, length and width."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Product:
    """One product: what the inventory knows of it, and what it looks like."""

    number: int
    asin: str
    """Ten characters; what one number has, no other has."""
    name: str
    kind: str
    """A key of KINDS."""
    size_in: tuple[float, float, float]
    """Length, width and height, inches."""
    weight_lb: float
    colours: tuple[Colour, Colour, Colour]
    """Ground, accent and print."""
    brand: str


@lru_cache(maxsize=4096)
def product(number: int) -> Product:
    """The product of that number, 0 to PRODUCTS - 1."""
    rng = Random(f"product {number}")
    kind = rng.choices(list(KINDS), weights=[kind.share for kind in KINDS.values()])[0]
    brand, noun = rng.choice(BRANDS), rng.choice(KINDS[kind].nouns)
    size_in = _size(rng, kind)
    volume = size_in[0] * size_in[1] * size_in[2]
    return Product(
        number=number,
        asin=_asin(number, is_book=kind == "book"),
        name=f"{brand} {noun}, {rng.choice(EXTRAS)}, No. {number}",
        kind=kind,
        size_in=size_in,
        weight_lb=round(
            min(50, volume * KINDS[kind].density * rng.lognormvariate(0, 0.4)) + 0.02, 2
        ),
        colours=_colours(rng, kind),
        brand=brand,
    )


def record(product: Product, quantity: int) -> dict[str, Any]:
    """The product's entry under BIN_FCSKU_DATA, with the keys and units that ABID has."""
    rng = Random(f"record {product.number}")
    has_size, has_weight = rng.random() >= NO_SIZE, rng.random() >= NO_WEIGHT
    length, width, height = product.size_in
    return {
        "asin": product.asin,
        "height": {"unit": "IN", "value": height} if has_size else None,
        "length": {"unit": "IN", "value": length} if has_size else None,
        "name": product.name,
        "normalizedName": product.name,
        "quantity": quantity,
        "weight": {"unit": "pounds", "value": product.weight_lb} if has_weight else None,
        "width": {"unit": "IN", "value": width} if has_size else None,
    }


def _asin(number: int, *, is_book: bool) -> str:
    """B0 and eight letters or digits; books, as at the shop, ten digits."""
    if is_book:
        return f"{1 + (number * 611_953 + 7919) % 999_999_937:010d}"
    # 36**8 shares no factor with the multiplier, so no two numbers meet
    left, letters = (number * 1_873_065_191 + 92_821) % 36**8, ""
    for _ in range(8):
        left, digit = divmod(left, 36)
        letters += "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"[digit]
    return f"B0{letters}"


def _size(rng: Random, kind: str) -> tuple[float, float, float]:
    """Length, width and height, 0.4 to 16 inches."""
    whole = rng.lognormvariate(0.05 if kind in ("bottle", "tin") else 0.28, 0.34)
    spreads = (0.18, 0.2, 0.42)
    sides = [
        side * whole * rng.lognormvariate(0, spread)
        for side, spread in zip(KINDS[kind].size_in, spreads, strict=True)
    ]
    if kind in ("bottle", "tin"):
        sides[1] = sides[0] if kind == "tin" else sides[1]
        sides[2] = sides[2] if kind == "tin" else sides[1]
    else:
        sides.sort(reverse=True)
    least = 0.8 if kind in ("polybag", "pouch") else 0.4
    length, width, height = (round(min(max(side, least), 16.0), 2) for side in sides)
    return length, width, height


def _colours(rng: Random, kind: str) -> tuple[Colour, Colour, Colour]:
    ground = rng.choice(COLOURS)
    if kind == "carton":
        ground = rng.choice(KRAFT)
    elif kind == "mailer":
        ground = rng.choice((*KRAFT, COLOURS[0], COLOURS[0], COLOURS[0]))
    accent = rng.choice([colour for colour in COLOURS if colour != ground])
    light = sum(ground) > 360
    ink = (40, 38, 40) if light else (232, 230, 224)
    return ground, accent, ink
