"""Solids: where things in a pocket appear on the photo's plane, seen by a camera before it.

Inches throughout: x to the right, y up, z into the pocket; the pocket's opening is the plane z = 0,
from (0, 0) to (width, height). Outlines are polygons on that plane.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import cos, pi, sin
from random import Random

from stocktake.bins.catalog import Product

Point = tuple[float, float]
Corner = tuple[float, float, float]

BOXY = ("box", "carton", "book")
SIDES = {
    "front": (0, 1, 2, 3), "right": (1, 5, 6, 2), "left": (4, 0, 3, 7), "top": (3, 2, 6, 7),
    "bottom": (4, 5, 1, 0),
}  # fmt: skip
"""Corners of a box's sides, from bottom left, counter-clockwise as seen from outside."""
NORMALS = {
    "front": (0, 0, -1), "right": (1, 0, 0), "left": (-1, 0, 0), "top": (0, 1, 0),
    "bottom": (0, -1, 0),
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Pocket:
    """The bin itself and the eye that looks at it."""

    width: float
    height: float
    depth: float
    eye: Corner
    """Where the camera is; z is negative."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Placed:
    """One item in its place."""

    product: Product
    x: float
    """Middle of the item."""
    y: float
    """Middle of the item."""
    z: float
    """Front of the item."""
    size: Corner
    """Width, height and depth as it lies."""
    lean: float = 0.0
    """Turn in the plane of the photo, radians, counter-clockwise."""
    yaw: float = 0.0
    """Turn around the upright axis, radians; boxes only."""
    face: str = "front"
    """What it shows: front, edge (of flat things) or end (of round things)."""
    seed: int = 0
    """Tells the folds of one bag from those of the next."""


def project(pocket: Pocket, point: Corner) -> Point:
    """Where a point in the pocket appears on the plane z = 0."""
    eye_x, eye_y, eye_z = pocket.eye
    scale = eye_z / (eye_z - point[2])
    return eye_x + (point[0] - eye_x) * scale, eye_y + (point[1] - eye_y) * scale


@lru_cache(maxsize=256)
def outline(item: Placed, pocket: Pocket) -> tuple[Point, ...]:
    """The item's silhouette, a polygon; convex for boxes. Kept: placing and drawing both ask."""
    return tuple(_outline(item, pocket))


def _outline(item: Placed, pocket: Pocket) -> list[Point]:
    if item.product.kind in BOXY:
        return _hull([project(pocket, corner) for corner in corners(item)])
    return [
        project(pocket, _on_billboard(item, x, y)) for x, y in shape(_shape_of(item), item.seed)
    ]


def billboard(item: Placed, pocket: Pocket) -> list[Point]:
    """The four corners of the rectangle that a soft or round item is painted on."""
    around = ((-0.5, -0.5), (0.5, -0.5), (0.5, 0.5), (-0.5, 0.5))
    return [project(pocket, _on_billboard(item, x, y)) for x, y in around]


def visible_sides(item: Placed, pocket: Pocket) -> dict[str, list[Point]]:
    """The sides of a box that face the camera, as quadrilaterals, the front last."""
    found = corners(item)
    shown = {}
    for side, numbers in SIDES.items():
        middle = [sum(found[n][axis] for n in numbers) / 4 for axis in range(3)]
        normal = _turned(item, NORMALS[side])
        towards = sum(normal[a] * (pocket.eye[a] - middle[a]) for a in range(3))
        if towards > 0:
            shown[side] = [project(pocket, found[n]) for n in numbers]
    if "front" in shown:
        shown["front"] = shown.pop("front")
    return shown


def corners(item: Placed) -> list[Corner]:
    """The eight corners of a box: front four, then back four, from bottom left around."""
    width, height, depth = item.size
    middle_z = item.z + (depth * abs(cos(item.yaw)) + width * abs(sin(item.yaw))) / 2
    found = []
    for z in (-depth / 2, depth / 2):
        for x, y in ((-1, -1), (1, -1), (1, 1), (-1, 1)):
            dx, dy, dz = _turned(item, (x * width / 2, y * height / 2, z))
            found.append((item.x + dx, item.y + dy, middle_z + dz))
    return found


def area(polygon: Sequence[Point]) -> float:
    """Area of a polygon, square inches."""
    pairs = zip(polygon, [*polygon[1:], polygon[0]], strict=True)
    return abs(sum(a[0] * b[1] - b[0] * a[1] for a, b in pairs)) / 2


@lru_cache(maxsize=512)
def shape(name: str, seed: int) -> tuple[Point, ...]:
    """A silhouette inside the square from (-0.5, -0.5) to (0.5, 0.5)."""
    rng = Random(f"shape {name} {seed}")
    if name == "bottle":
        return _bottle(rng)
    if name == "disc":
        return tuple((cos(2 * pi * n / 28) / 2, sin(2 * pi * n / 28) / 2) for n in range(28))
    if name == "can":
        arc = [(cos(pi * n / 8) / 2, 0.06 * sin(pi * n / 8)) for n in range(9)]
        return tuple((x, 0.44 + y) for x, y in arc) + tuple((-x, -0.44 - y) for x, y in arc)
    return _cushion(rng, squareness={"mailer": 9.0, "pouch": 6.0}.get(name, 4.4))


def _shape_of(item: Placed) -> str:
    if item.product.kind == "tin":
        return "disc" if item.face == "end" else "can"
    return item.product.kind


def _bottle(rng: Random) -> tuple[Point, ...]:
    cap, neck = rng.uniform(0.2, 0.38), rng.uniform(0.12, 0.2)
    shoulder, cap_height = rng.uniform(0.06, 0.16), rng.uniform(0.1, 0.2)
    top = 0.5 - cap_height
    right = [
        (0.44, -0.5), (0.5, -0.47), (0.5, top - shoulder), (0.44, top - shoulder * 0.4),
        (max(neck, cap * 0.8), top), (cap, top + 0.01), (cap, 0.48), (cap * 0.85, 0.5),
    ]  # fmt: skip
    return tuple(right) + tuple((-x, y) for x, y in reversed(right))


def _cushion(rng: Random, *, squareness: float) -> tuple[Point, ...]:
    """A soft rectangle with dents."""
    dents = [(rng.randint(2, 7), rng.uniform(0, 2 * pi), rng.uniform(0, 0.035)) for _ in range(4)]
    points = []
    for n in range(36):
        angle = 2 * pi * n / 36
        x, y = cos(angle), sin(angle)
        radius = (abs(x) ** squareness + abs(y) ** squareness) ** (-1 / squareness)
        radius *= 0.94 + sum(a * sin(k * angle + shift) for k, shift, a in dents)
        points.append((max(-0.5, min(0.5, radius * x / 2)), max(-0.5, min(0.5, radius * y / 2))))
    return tuple(points)


def _turned(item: Placed, vector: Sequence[float]) -> Corner:
    x = vector[0] * cos(item.yaw) + vector[2] * sin(item.yaw)
    z = vector[2] * cos(item.yaw) - vector[0] * sin(item.yaw)
    y = vector[1]
    return x * cos(item.lean) - y * sin(item.lean), x * sin(item.lean) + y * cos(item.lean), z


def _on_billboard(item: Placed, x: float, y: float) -> Corner:
    width, height, depth = item.size
    dx, dy = x * width, y * height
    c, s = cos(item.lean), sin(item.lean)
    return item.x + dx * c - dy * s, item.y + dx * s + dy * c, item.z + 0.3 * depth


def _hull(points: list[Point]) -> list[Point]:
    """Convex hull, counter-clockwise (Andrew's monotone chain)."""
    ordered = sorted(points)

    def half(along: list[Point]) -> list[Point]:
        chain: list[Point] = []
        for p in along:
            while len(chain) > 1 and _cross(chain[-2], chain[-1], p) <= 0:
                chain.pop()
            chain.append(p)
        return chain[:-1]

    return half(ordered) + half(ordered[::-1])


def _cross(a: Point, b: Point, c: Point) -> float:
    return (b[0] - a[0]) * (c[1] - a[1]) - (b[1] - a[1]) * (c[0] - a[0])
