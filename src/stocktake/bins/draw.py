"""Draw: a scene as a photo: the pocket, the things in it, the bands before them."""

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

import simplejpeg
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from stocktake.bins import camera, fabric, faces, placing, textures
from stocktake.bins.camera import Photo
from stocktake.bins.scene import PX_PER_IN, Scene
from stocktake.bins.solids import BOXY, Placed, Point, billboard, outline, visible_sides

JPEG_QUALITY = 95
"""With 4:2:0 chroma: the quantisation tables of all 700 ABID originals looked at."""
LIGHT_OF_SIDE = {"front": 1.0, "top": 1.08, "left": 0.78, "right": 0.78, "bottom": 0.6}
MAX_FACE_PX = 224
ROUGH_PX = 200
"""Photos with no shorter side have their cloth and their light painted in half the pixels."""


def jpeg(scene: Scene, *, long_side_px: int = 0) -> bytes:
    """The photo as JPEG bytes, quality 95, 4:2:0; `long_side_px` as in `photo`."""
    pixels = photo(scene, long_side_px=long_side_px)
    return bytes(
        simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, colorspace="RGB", colorsubsampling="420")
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class View:
    """How inches on the pocket's plane become pixels of one photo."""

    size: tuple[int, int]
    """Width and height, pixels."""
    scale: float
    """Pixels of this photo by pixels of the same photo in ABID's size."""
    left_in: float
    """The photo's left edge, inches from the pocket's."""
    below_in: float
    """The photo's lower edge, inches from the pocket's floor."""

    @property
    def px_per_in(self) -> float:
        """Pixels to an inch."""
        return PX_PER_IN * self.scale

    def to_px(self, point: Point) -> Point:
        """A point in inches as pixels from the photo's upper left."""
        return (
            (point[0] - self.left_in) * self.px_per_in,
            self.size[1] - (point[1] - self.below_in) * self.px_per_in,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Side:
    """One side of an item as it shows."""

    name: str
    """What `faces.face` calls it."""
    corners: list[Point]
    """Where its picture's corners lie, from bottom left, pixels."""
    polygon: list[Point]
    """What is cut out of the picture, pixels."""
    light: float
    """How much light falls on it, 1 for the front of the pocket."""


def view(scene: Scene, long_side_px: int = 0) -> View:
    """The view of a scene; 0 pixels for the scene's own size."""
    scale = long_side_px / max(scene.size_px) if long_side_px else 1.0
    size = (max(1, round(scene.size_px[0] * scale)), max(1, round(scene.size_px[1] * scale)))
    return View(size=size, scale=scale, left_in=scene.left_in, below_in=scene.below_in)


def photo(scene: Scene, *, long_side_px: int = 0) -> Photo:
    """The photo, RGB, uint8 (H, W, C).

    Args:
        long_side_px: pixels of the longer side; 0 for the scene's own size.
    """
    seen = view(scene, long_side_px)
    canvas = _empty(scene, seen)
    for number in placing.drawing_order(scene.items, scene.pocket):
        item = scene.items[number]
        _shadow(canvas, [seen.to_px(point) for point in outline(item, scene.pocket)])
        for side in sides(scene, item, seen):
            _face(canvas, item, side)
    _light(canvas, scene)
    fabric.hems(ImageDraw.Draw(canvas), scene, to_px=seen.to_px)
    fabric.labels(canvas, scene, to_px=seen.to_px, px_per_in=seen.px_per_in)
    fabric.bands(canvas, scene, to_px=seen.to_px, px_per_in=seen.px_per_in)
    fabric.cord(canvas, scene, to_px=seen.to_px, px_per_in=seen.px_per_in)
    return camera.taken(canvas, seed=scene.photo_seed, scale=seen.scale)


def _empty(scene: Scene, seen: View) -> Image.Image:
    """The pocket with nothing in it; cloth has no fine detail, so fewer pixels will do."""
    rough = Image.new("RGB", _rough(seen.size), (60, 56, 54))
    by = rough.width / seen.size[0]

    def to_px(point: Point) -> Point:
        x, y = seen.to_px(point)
        return x * by, y * by

    fabric.interior(rough, scene, to_px=to_px)
    return rough.resize(seen.size, Image.Resampling.NEAREST)


def sides(scene: Scene, item: Placed, seen: View) -> list[Side]:
    """The sides of an item that face the camera, in drawing order; soft things have one."""
    light = 1.0 - 0.03 * item.z
    if item.product.kind not in BOXY:
        corners = [seen.to_px(point) for point in billboard(item, scene.pocket)]
        polygon = [seen.to_px(point) for point in outline(item, scene.pocket)]
        return [Side(name=item.face, corners=corners, polygon=polygon, light=light)]
    found = []
    for side, quad in visible_sides(item, scene.pocket).items():
        shown = item.face if side == "front" else side
        if item.product.kind == "book" and item.face == "edge" and side != "front":
            shown = "front" if side in ("right", "top") else side
        corners = [seen.to_px(point) for point in quad]
        if min(_length(corners[0], corners[1]), _length(corners[1], corners[2])) >= 1.5:
            by = light * LIGHT_OF_SIDE[side]
            found.append(Side(name=shown, corners=corners, polygon=corners, light=by))
    return found


def _face(canvas: Image.Image, item: Placed, side: Side) -> None:
    """Lay one side's picture over its corners, cut to its polygon."""
    corners, polygon = side.corners, side.polygon
    left, top, right, bottom = _bounds(polygon, canvas.size)
    if right <= left or bottom <= top:
        return
    size = (_rounded(_length(corners[0], corners[1])), _rounded(_length(corners[1], corners[2])))
    picture = faces.face(item.product, side.name, size=size, seed=item.seed)
    box = (right - left, bottom - top)
    moved = [(x - left, y - top) for x, y in corners]
    # the nearest pixel will do: the camera's blur comes on top, and it costs a quarter
    found = picture.transform(
        box, Image.Transform.PERSPECTIVE, _homography(moved, size), Image.Resampling.NEAREST
    )
    mask = Image.new("L", box)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in polygon], fill=255)
    if found.mode == "RGBA":
        mask = ImageChops.multiply(mask, found.getchannel("A"))
        found = found.convert("RGB")
    if side.light != 1.0:
        found = Image.blend(Image.new("RGB", box), found, side.light)
    canvas.paste(found, (left, top), mask)


def _shadow(canvas: Image.Image, polygon: Sequence[Point]) -> None:
    """Darken what lies around and behind an item."""
    reach = 12
    left, top, right, bottom = _bounds(polygon, canvas.size, around=reach)
    if right <= left or bottom <= top:
        return
    small = ((right - left) // 4 + 1, (bottom - top) // 4 + 1)
    mask = Image.new("L", small)
    ImageDraw.Draw(mask).polygon([((x - left) / 4, (y - top) / 4) for x, y in polygon], fill=125)
    mask = mask.filter(ImageFilter.BoxBlur(2.2))
    mask = mask.resize((right - left, bottom - top), Image.Resampling.BILINEAR)
    # a picture of one colour is pasted in half the time of the colour itself
    canvas.paste(Image.new("RGB", mask.size, (14, 12, 10)), (left, top), mask)


def _light(canvas: Image.Image, scene: Scene) -> None:
    """Give the inside less light at the top and at the sides of the pocket, and uneven."""
    rng = Random(f"light {scene.bin_seed}")
    rows, columns = 8, 10
    dim = rng.uniform(0.45, 0.85)
    values = []
    for row in range(rows):
        for column in range(columns):
            from_top = min(1.0, 0.35 + row / (rows - 1))
            from_side = min(1.0, 0.7 + 0.6 * min(column, columns - 1 - column) / (columns / 2))
            even = dim + (1 - dim) * from_top * from_side
            values.append(255 - int(255 * even * rng.uniform(0.84, 1.0)))
    small = Image.new("L", (columns, rows))
    small.putdata(values)
    smooth = small.resize(_rough(canvas.size), Image.Resampling.BILINEAR)
    textures.darken(canvas, smooth.resize(canvas.size, Image.Resampling.NEAREST))


def _rough(size: tuple[int, int]) -> tuple[int, int]:
    """Half the width and height of a photo, if that is enough for what has no edges."""
    by = 2 if min(size) >= ROUGH_PX else 1
    return (size[0] + by - 1) // by, (size[1] + by - 1) // by


def _bounds(
    polygon: Sequence[Point], size: tuple[int, int], *, around: int = 1
) -> tuple[int, int, int, int]:
    """The box around a polygon, cut to the photo."""
    xs, ys = [x for x, _ in polygon], [y for _, y in polygon]
    left, top = max(0, int(min(xs)) - around), max(0, int(min(ys)) - around)
    right, bottom = min(size[0], int(max(xs)) + around + 1), min(size[1], int(max(ys)) + around + 1)
    return left, top, right, bottom


def _length(a: Point, b: Point) -> float:
    return float(((a[0] - b[0]) ** 2 + (a[1] - b[1]) ** 2) ** 0.5)


def _rounded(length: float) -> int:
    """Pixels for a picture; rounded, so that equal items share one."""
    return min(MAX_FACE_PX, max(6, 12 * round(length / 12)))


def _homography(corners: Sequence[Point], size: tuple[int, int]) -> tuple[float, ...]:
    """Coefficients that take the quadrilateral (from bottom left) to a picture of that size.

    Heckbert, Fundamentals of Texture Mapping (1989), section 2.2.3: square to quadrilateral, turned
    round by its adjoint.
    """
    (x3, y3), (x2, y2), (x1, y1), (x0, y0) = corners
    dx1, dx2, dx3 = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, dy3 = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    whole = dx1 * dy2 - dx2 * dy1
    g, h = (dx3 * dy2 - dx2 * dy3) / whole, (dx1 * dy3 - dx3 * dy1) / whole
    a, b, c = x1 - x0 + g * x1, x3 - x0 + h * x3, x0
    d, e, f = y1 - y0 + g * y1, y3 - y0 + h * y3, y0
    across = (e - f * h, c * h - b, b * f - c * e)
    down = (f * g - d, a - c * g, c * d - a * f)
    last = a * e - b * d
    return (
        *(size[0] * v / last for v in across),
        *(size[1] * v / last for v in down),
        (d * h - e * g) / last,
        (b * g - a * h) / last,
    )
