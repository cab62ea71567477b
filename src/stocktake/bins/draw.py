"""Draw: a scene as a photo, dim, warm and a little blurred, as JPEG bytes."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import numpy as np
import simplejpeg
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from stocktake.bins import fabric, faces, placing
from stocktake.bins.scene import PX_PER_IN, Scene
from stocktake.bins.solids import BOXY, Placed, Point, billboard, outline, visible_sides

JPEG_QUALITY = 95
"""With 4:2:0 chroma: the quantisation tables of all 700 ABID originals looked at."""
BLACK, WHITE = (47, 37, 33), (226, 196, 170)
"""What black and white look like in ABID: 1st and 99th percentile are (58, 46, 41) and
(215, 182, 151), medians over 70 photos."""
LIGHT_OF_SIDE = {"front": 1.0, "top": 1.08, "left": 0.78, "right": 0.78, "bottom": 0.6}
MAX_FACE_PX = 320


def jpeg(scene: Scene, *, long_side_px: int = 0) -> bytes:
    """The photo as JPEG bytes, quality 95, 4:2:0; `long_side_px` as in `photo`."""
    pixels = np.asarray(photo(scene, long_side_px=long_side_px))
    return bytes(
        simplejpeg.encode_jpeg(pixels, JPEG_QUALITY, colorspace="RGB", colorsubsampling="420")
    )


def photo(scene: Scene, *, long_side_px: int = 0) -> Image.Image:
    """The photo, RGB.

    Args:
        long_side_px: pixels of the longer side; 0 for the scene's own size.
    """
    scale = long_side_px / max(scene.size_px) if long_side_px else 1.0
    size = (max(1, round(scene.size_px[0] * scale)), max(1, round(scene.size_px[1] * scale)))
    px_per_in = PX_PER_IN * scale

    def to_px(point: Point) -> Point:
        return (
            (point[0] - scene.left_in) * px_per_in,
            size[1] - (point[1] - scene.below_in) * px_per_in,
        )

    canvas = Image.new("RGB", size, (60, 56, 54))
    fabric.interior(ImageDraw.Draw(canvas), scene, to_px)
    canvas = _textured(canvas, scene)
    for number in placing.drawing_order(scene.items, scene.pocket):
        _item(canvas, scene, scene.items[number], to_px)
    canvas = _lit(canvas, scene, to_px)
    fabric.hems(ImageDraw.Draw(canvas), scene, to_px)
    fabric.labels(canvas, scene, to_px, px_per_in)
    fabric.bands(canvas, scene, to_px, px_per_in)
    return _taken(canvas, scene, scale)


def _item(canvas: Image.Image, scene: Scene, item: Placed, to_px: Callable[[Point], Point]) -> None:
    silhouette = [to_px(point) for point in outline(item, scene.pocket)]
    _shadow(canvas, silhouette)
    if item.product.kind not in BOXY:
        corners = [to_px(point) for point in billboard(item, scene.pocket)]
        light = 1.0 - 0.03 * item.z
        _face(canvas, item, item.face, corners, silhouette, light)
        return
    for side, quad in visible_sides(item, scene.pocket).items():
        shown = item.face if side == "front" else side
        if item.product.kind == "book" and item.face == "edge" and side != "front":
            shown = "front" if side in ("right", "top") else side
        light = LIGHT_OF_SIDE[side] * (1.0 - 0.03 * item.z)
        corners = [to_px(point) for point in quad]
        _face(canvas, item, shown, corners, corners, light)


def _face(
    canvas: Image.Image, item: Placed, side: str, corners: Sequence[Point],
    polygon: Sequence[Point], light: float,
) -> None:  # fmt: skip
    """Lay one side's picture over the quadrilateral `corners`, cut to `polygon`."""
    left, top, right, bottom = _bounds(polygon, canvas.size)
    if right <= left or bottom <= top:
        return
    wide = _length(corners[0], corners[1])
    high = _length(corners[1], corners[2])
    if min(wide, high) < 1.5:
        return
    size = (_rounded(wide), _rounded(high))
    picture = faces.face(item.product, side, size, item.seed)
    box = (right - left, bottom - top)
    moved = [(x - left, y - top) for x, y in corners]
    found = picture.transform(
        box, Image.Transform.PERSPECTIVE, _homography(moved, size), Image.Resampling.BILINEAR
    )
    if light != 1.0:
        table = [min(255, int(v * light)) for v in range(256)]
        found = found.point(table * 3)
    mask = Image.new("L", box)
    ImageDraw.Draw(mask).polygon([(x - left, y - top) for x, y in polygon], fill=255)
    canvas.paste(found, (left, top), mask)


def _shadow(canvas: Image.Image, polygon: Sequence[Point]) -> None:
    """Darken what lies around and behind an item."""
    reach = 10
    left, top, right, bottom = _bounds(polygon, canvas.size, around=reach)
    if right <= left or bottom <= top:
        return
    small = ((right - left) // 4 + 1, (bottom - top) // 4 + 1)
    mask = Image.new("L", small)
    ImageDraw.Draw(mask).polygon([((x - left) / 4, (y - top) / 4) for x, y in polygon], fill=170)
    mask = mask.filter(ImageFilter.BoxBlur(1.5)).resize((right - left, bottom - top))
    canvas.paste((14, 12, 10), (left, top), mask)


def _textured(canvas: Image.Image, scene: Scene) -> Image.Image:
    """The walls with the light and shade of slack fabric."""
    rng = Random(f"cloth {scene.bin_seed}")
    small = Image.new("L", (7, 5))
    small.putdata([rng.randint(196, 255) for _ in range(35)])
    cloth = small.resize(canvas.size, Image.Resampling.BICUBIC)
    return ImageChops.multiply(canvas, Image.merge("RGB", (cloth, cloth, cloth)))


def _lit(canvas: Image.Image, scene: Scene, to_px: Callable[[Point], Point]) -> Image.Image:
    """The inside with less light at the top and at the sides of the pocket."""
    rng = Random(f"light {scene.bin_seed}")
    rows, columns = 8, 10
    dim = rng.uniform(0.45, 0.85)
    values = []
    for row in range(rows):
        for column in range(columns):
            from_top = min(1.0, 0.35 + row / (rows - 1))
            from_side = min(1.0, 0.7 + 0.6 * min(column, columns - 1 - column) / (columns / 2))
            values.append(int(255 * (dim + (1 - dim) * from_top * from_side)))
    small = Image.new("L", (columns, rows))
    small.putdata(values)
    light = small.resize(canvas.size, Image.Resampling.BILINEAR)
    return ImageChops.multiply(canvas, Image.merge("RGB", (light, light, light)))


def _taken(canvas: Image.Image, scene: Scene, scale: float) -> Image.Image:
    """What the camera makes of it: exposure, warm light, haze, blur and noise."""
    rng = Random(f"camera {scene.photo_seed}")
    exposure, warmth = rng.lognormvariate(-0.04, 0.14), rng.gauss(0, 0.025)
    haze = rng.lognormvariate(-0.06, 0.16)
    table: list[int] = []
    for channel, tint in enumerate((1 + warmth, 1.0, 1 - warmth)):
        span = (WHITE[channel] - BLACK[channel]) * exposure * tint
        black = BLACK[channel] * haze
        table += [min(255, int(black + span * v / 255)) for v in range(256)]
    canvas = canvas.point(table)
    radius = rng.lognormvariate(-0.2, 0.35) if rng.random() < 0.85 else rng.uniform(1.5, 3.2)
    across = radius * (rng.uniform(1.5, 3) if rng.random() < 0.1 else 1.0)
    canvas = canvas.filter(ImageFilter.GaussianBlur((across * scale, radius * scale)))
    grain = _grain()
    left = rng.randrange(grain.width - canvas.width) if canvas.width < grain.width else 0
    top = rng.randrange(grain.height - canvas.height) if canvas.height < grain.height else 0
    cut = grain.crop((left, top, left + canvas.width, top + canvas.height))
    return ImageChops.add(canvas, cut, 1, -128)


@lru_cache(maxsize=1)
def _grain() -> Image.Image:
    """A sheet of sensor noise around 128, RGB; every photo takes a piece."""
    rng = np.random.Generator(np.random.PCG64(1))
    shared = rng.normal(128, 1.6, size=(1400, 1200, 1))
    noise = shared + rng.normal(0, 1.0, size=(1400, 1200, 3))
    return Image.fromarray(noise.round().astype(np.uint8))


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
    return min(MAX_FACE_PX, max(6, 6 * round(length / 6)))


def _homography(corners: Sequence[Point], size: tuple[int, int]) -> tuple[float, ...]:
    """Coefficients that take the quadrilateral (from bottom left) to a picture of that size."""
    wide, high = size
    targets = ((0, high), (wide, high), (wide, 0), (0, 0))
    left, right = [], []
    for (x, y), (u, v) in zip(corners, targets, strict=True):
        left += [[x, y, 1, 0, 0, 0, -u * x, -u * y], [0, 0, 0, x, y, 1, -v * x, -v * y]]
        right += [u, v]
    return tuple(np.linalg.solve(np.array(left), np.array(right)).tolist())
