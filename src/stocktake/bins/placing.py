"""Placing: a place in the pocket for every item, none hidden from sight.

Equal items lie together: in a row, in a pile, in a heap. Clumps are set down one after another
where the heap below them is lowest, in a front or a back layer. What hides too much is tried again.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from math import ceil, cos, radians, sin
from random import Random

from PIL import Image, ImageDraw

from stocktake.bins.catalog import Product
from stocktake.bins.solids import BOXY, Corner, Placed, Pocket, area, outline

MIN_VISIBLE = 0.2
"""Every item shows at least this share of its outline, elastic bands aside."""
MIN_VISIBLE_IN2 = 0.4
"""And at least this many square inches, some 500 pixels at ABID's sizes."""
_ASKED = 0.26
"""What is asked of the coarse raster below, so that MIN_VISIBLE holds at any resolution."""
_UPRIGHT = radians(4)
"""What leans less stands by itself."""
_RASTER_PX = 200
_ATTEMPTS = 28
_BACK = 3.0
"""Inches from the opening where the layer behind begins."""
_LIP = 0.035
"""Share of the pocket's height that its front edge and the hem above hide, in the middle."""


@dataclass(frozen=True, kw_only=True, slots=True)
class _Clump:
    """Items of one product side by side or piled up; x and y of items count from its corner."""

    items: tuple[Placed, ...]
    width: float
    height: float
    depth: float


def arrange(
    rng: Random,
    pocket: Pocket,
    *,
    wanted: Sequence[tuple[Product, int]],
    around: Sequence[Placed],
) -> list[Placed] | None:
    """Places for the items of all products in `wanted`, among those already there.

    Returns the new items only, or None where no try left every item visible: then the caller lays
    out the whole bin anew.
    """
    if not sum(quantity for _, quantity in wanted):
        return []
    for attempt in range(_ATTEMPTS):
        shrink = _fitting(pocket, wanted, around) * 0.93 ** (attempt // 2)
        clumps = [_clump(rng, pocket, *pair, shrink) for pair in wanted]
        rng.shuffle(clumps)
        found = _stow(rng, pocket, clumps, around)
        if found is None:
            continue
        found = settled([*around, *found], pocket)[len(around) :]
        if all_visible([*around, *found], pocket):
            return found
    return None


def grid(rng: Random, pocket: Pocket, *, products: Sequence[Product]) -> list[Placed]:
    """Every item shrunk to a cell of its own, then let fall: next to nothing is hidden."""
    columns = max(1, ceil((len(products) * pocket.width / pocket.height) ** 0.5))
    rows = ceil(len(products) / columns)
    cell_x, cell_y = pocket.width / columns, pocket.height * (1 - 2 * _LIP) / rows
    placed = []
    for number, product in enumerate(products):
        row, column = divmod(number, columns)
        width, height, _ = _lying(product, "front")
        scale = 0.85 * min(cell_x / width, cell_y / height, 1.0)
        placed.append(
            Placed(
                product=product,
                x=(column + 0.5) * cell_x,
                y=pocket.height * _LIP + row * cell_y + height * scale / 2,
                z=0.2,
                size=(width * scale, height * scale, 0.4),
                seed=rng.getrandbits(32),
            )
        )
    return settled(placed, pocket)


def settled(items: Sequence[Placed], pocket: Pocket) -> list[Placed]:
    """The same items, each fallen to what bears it: after a pick nothing hangs in the air."""
    found = list(items)
    order = sorted(range(len(items)), key=lambda n: _extent(items[n])[2])
    for place, number in enumerate(order):
        left, right, bottom, top = _extent(items[number])
        bearing = [_LIP * pocket.height * 0.4]
        for other in order[:place]:
            there = _extent(found[other])
            beside = min(right, there[1]) - max(left, there[0]) < 0.2 * (right - left)
            if not beside and (found[other].z < _BACK) == (items[number].z < _BACK):
                bearing.append(there[3])
        fall = bottom - max(bearing)
        if fall > 0:
            found[number] = replace(items[number], y=items[number].y - fall)
    return found


def drawing_order(items: Sequence[Placed], pocket: Pocket) -> list[int]:
    """Indices of the items from the farthest to the nearest to the camera."""

    def key(number: int) -> tuple[float, float]:
        item = items[number]
        return -item.z, -abs(item.x - pocket.eye[0]) - abs(item.y - pocket.eye[1])

    return sorted(range(len(items)), key=key)


def all_visible(items: Sequence[Placed], pocket: Pocket) -> bool:
    """Whether every item shows its MIN_VISIBLE, with some to spare, and its MIN_VISIBLE_IN2."""
    for item, share in zip(items, shares_visible(items, pocket), strict=True):
        if share < _ASKED or share * area(outline(item, pocket)) < MIN_VISIBLE_IN2:
            return False
    return True


def shares_visible(
    items: Sequence[Placed], pocket: Pocket, *, raster_px: int = _RASTER_PX
) -> list[float]:
    """Share of every item's outline that neither another item nor the pocket's edge hides.

    Elastic bands are not counted: one sees through them.
    """
    per_in = raster_px / pocket.width
    size = (raster_px, max(1, round(pocket.height * per_in)))
    owners, alone = Image.new("L", size), []
    brush = ImageDraw.Draw(owners)
    for number in drawing_order(items, pocket):
        polygon = [(x * per_in, size[1] - y * per_in) for x, y in outline(items[number], pocket)]
        brush.polygon(polygon, fill=number + 1)
        alone.append((number, _pixels(polygon)))
    brush.rectangle((0, size[1] * (1 - _LIP), size[0], size[1]), fill=0)
    brush.rectangle((0, 0, size[0], size[1] * _LIP), fill=0)
    seen = owners.histogram()
    whole = dict(alone)
    return [min(1.0, seen[n + 1] / max(whole[n], 1)) for n in range(len(items))]


def _extent(item: Placed) -> tuple[float, float, float, float]:
    """Left, right, bottom and top of an item as it leans, inches."""
    c, s = abs(cos(item.lean)), abs(sin(item.lean))
    half_x = (item.size[0] * c + item.size[1] * s) / 2
    half_y = (item.size[1] * c + item.size[0] * s) / 2
    return item.x - half_x, item.x + half_x, item.y - half_y, item.y + half_y


def _pixels(polygon: list[tuple[float, float]]) -> float:
    """Pixels that Pillow fills for a polygon: its area and, as it draws them too, half its edges.

    Pick's theorem for corners on pixels, near enough for others; drawing each alone costs more.
    """
    around = 0.0
    for (ax, ay), (bx, by) in zip(polygon, [*polygon[1:], polygon[0]], strict=True):
        around += max(abs(ax - bx), abs(ay - by))
    return area(polygon) + around / 2 + 1


def _fitting(
    pocket: Pocket, wanted: Sequence[tuple[Product, int]], around: Sequence[Placed]
) -> float:
    """By how much items must shrink so that the fronts of all fill at most most of the pocket."""
    fronts = sum(
        quantity * product.size_in[0] * product.size_in[1] * 0.6 for product, quantity in wanted
    )
    room = pocket.width * pocket.height * 1.7
    room -= sum(item.size[0] * item.size[1] for item in around)
    return min(1.0, (max(room, pocket.width) / max(fronts, 0.1)) ** 0.5)


def _lying(product: Product, how: str) -> Corner:
    """Width, height and depth of a product that stands, shows its edge, lies flat or on its end."""
    length, width, height = product.size_in
    if product.kind == "tin":
        return (length, length, height) if how == "end" else (length, height, length)
    if product.kind == "bottle":
        return width, length, width
    return {
        "front": (width, length, height),
        "wide": (length, width, height),
        "edge": (height, length, width),
        "flat": (length, height, width),
    }[how]


def _clump(rng: Random, pocket: Pocket, product: Product, quantity: int, shrink: float) -> _Clump:
    """The items of one product as they would be put in: a grid of columns and rows."""
    how = _manner(rng, pocket, product, quantity)
    width, height, depth = (side * shrink for side in _lying(product, how))
    overlap = 1.0 if product.kind in (*BOXY, "bottle", "tin") else rng.uniform(0.62, 0.9)
    lean = _lean(rng, product, how, quantity)
    box_x = width * cos(abs(lean)) + height * sin(abs(lean))
    columns = quantity if how in ("edge", "end", "front") else 1
    columns = max(1, min(columns, int((pocket.width - box_x) / (width / cos(lean) * overlap)) + 1))
    if how in ("flat", "wide") and quantity * height > 0.9 * pocket.height:
        columns = max(1, min(quantity, int(pocket.width // width)))
    rows = ceil(quantity / columns)
    if rows > 1:
        lean = 0.0 if product.kind in BOXY else lean / 3
    box_x = width * cos(abs(lean)) + height * sin(abs(lean))
    box_y = height * cos(abs(lean)) + width * sin(abs(lean))
    step_x, step_y = width / cos(lean) * overlap, box_y * (overlap if rows > 1 else 1.0)
    total_x, total_y = box_x + (columns - 1) * step_x, box_y + (rows - 1) * step_y
    fit = min(1.0, 0.97 * pocket.width / total_x, (0.97 - _LIP) * pocket.height / total_y)
    face = {"flat": "edge", "wide": "front"}.get(how, how)
    yaw = 0.0
    if product.kind in BOXY and quantity == 1 and how in ("front", "wide"):
        yaw = rng.choice((0.0, 0.0, rng.uniform(-0.5, 0.5)))
    items = []
    for number in range(quantity):
        row, column = divmod(number, columns)
        slack = 0.04 * width if rows > 1 else 0.0
        items.append(
            Placed(
                product=product,
                x=(column * step_x + box_x / 2 + rng.uniform(-slack, slack)) * fit,
                y=(row * step_y + box_y / 2) * fit,
                z=rng.uniform(0, 0.25) + (0.0 if overlap == 1.0 else 0.12 * (number % 2)),
                size=(width * fit, height * fit, min(depth, pocket.depth * 0.9) * fit),
                lean=lean + rng.uniform(-0.02, 0.02),
                yaw=yaw,
                face=face,
                seed=rng.getrandbits(32),
            )
        )
    return _Clump(
        items=tuple(items), width=total_x * fit, height=total_y * fit, depth=items[0].size[2]
    )


def _manner(rng: Random, pocket: Pocket, product: Product, quantity: int) -> str:
    """How people put such things into a pocket: as they fit, many of a kind to save room."""
    if product.kind == "bottle":
        return "front"
    if product.kind == "tin":
        return rng.choice(("front", "front", "end"))
    many = quantity > 2
    if product.kind in BOXY:
        weights = (1, 2, 5, 5) if many else (5, 5, 2, 2)
    else:
        weights = (2, 4, 2, 3) if many else (4, 5, 1, 1)
    manners = dict(zip(("front", "wide", "edge", "flat"), weights, strict=True))
    fitting = {}
    for how, weight in manners.items():
        width, height, _ = _lying(product, how)
        if width < 0.95 * pocket.width and height < (0.95 - _LIP) * pocket.height:
            fitting[how] = weight
    return rng.choices(list(fitting or manners), weights=list((fitting or manners).values()))[0]


def _lean(rng: Random, product: Product, how: str, quantity: int) -> float:
    if product.kind == "tin" and how == "front":
        return 0.0
    if product.kind in BOXY and how in ("wide", "flat"):
        return radians(rng.gauss(0, 2))
    steep = {"edge": 14, "bottle": 5}.get(product.kind if how != "edge" else how, 5)
    lean = radians(max(-40, min(40, rng.gauss(0, steep))))
    return lean if quantity > 1 or abs(lean) > 0.05 else 0.0


def _stow(
    rng: Random, pocket: Pocket, clumps: Sequence[_Clump], around: Sequence[Placed]
) -> list[Placed] | None:
    """Set the clumps down, each where it comes to lie lowest; None if one finds no room."""
    layers: dict[float, list[Corner]] = {0.0: [], 4.0: []}
    for item in around:
        left, right, _, top = _extent(item)
        layers[0.0 if item.z < _BACK else 4.0].append((left, right, top))
    placed: list[Placed] = []
    for clump in clumps:
        order = [0.0, 4.0] if clump.height < 0.6 * pocket.height else [4.0, 0.0]
        if rng.random() < 0.3:
            order.reverse()
        for z in order:
            spot = _lowest(rng, pocket, clump, layers[z])
            if spot is not None:
                break
        else:
            return None
        x, y = spot
        layers[z].append((x, x + clump.width, y + clump.height))
        for item in clump.items:
            placed.append(replace(item, x=item.x + x, y=item.y + y, z=item.z + z))
    return placed


def _lowest(
    rng: Random, pocket: Pocket, clump: _Clump, there: Sequence[Corner]
) -> tuple[float, float] | None:
    """Left and bottom of the lowest place for a clump in one layer; None if none is low enough."""
    room = max(pocket.width - clump.width, 0.0)
    lean = clump.items[0].lean
    # what leans to the left needs a wall or a neighbour there to lean on
    tries = [0.0] * (lean > -_UPRIGHT) + [room] * (lean < _UPRIGHT)
    for left, right, _ in there:
        tries += [right] * (lean > -_UPRIGHT) + [left - clump.width] * (lean < _UPRIGHT)
    if abs(lean) < _UPRIGHT:
        tries += [rng.uniform(0, room) for _ in range(6)]
    best: tuple[float, float, float] | None = None
    for x in tries:
        if not 0 <= x <= room:
            continue
        floor = _LIP * pocket.height * 0.4
        below = [one for one in there if one[0] < x + clump.width and one[1] > x]
        y = max([floor, *(top for _, _, top in below)])
        borne = sum(
            min(right, x + clump.width) - max(left, x)
            for left, right, top in below
            if top > y - 0.3
        )
        if y + clump.height > pocket.height * (1 - _LIP / 2):
            continue
        score = y + rng.uniform(0, 0.25) * pocket.height
        if y > floor and borne < 0.5 * clump.width:  # it would tip over
            score += 0.5 * pocket.height
        if best is None or score < best[0]:
            best = (score, x, y)
    return None if best is None else best[1:]
