"""Fabric: the yellow pocket around the items, its hems and labels, the elastic bands before it."""

from collections.abc import Callable, Sequence
from functools import lru_cache
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stocktake.bins import textures
from stocktake.bins.scene import LETTERS, Scene
from stocktake.bins.solids import Corner, Point, project

ToPx = Callable[[Point], Point]
"""Inches on the pocket's plane to pixels of the photo."""
Brush = ImageDraw.ImageDraw

YELLOW = (224, 212, 144)
CLOTH = (206, 202, 132)
"""The same cloth in the light that comes through it."""
OPEN_TOPS = 0.15
"""Share of pockets with a board and a gap above instead of the next row."""
CORDS = 0.1
"""Share of pockets with a cord and a hook before them."""
LABELS = {
    "A": (28, 62, 62), "B": (58, 40, 84), "C": (120, 70, 50), "D": (134, 164, 206),
    "E": (96, 96, 104), "F": (206, 74, 62), "G": (34, 46, 92), "H": (236, 168, 176),
    "I": (236, 136, 62), "J": (112, 82, 62), "K": (90, 120, 70),
}  # fmt: skip
"""Colour of a label by the row of the shelf."""


LABEL_IN = (4.4, 1.25)
"""Width and height of a label: some 160 by 45 pixels of ABID's originals."""


def interior(canvas: Image.Image, scene: Scene, *, to_px: ToPx) -> None:
    """Back wall, side walls, ceiling and floor of the pocket, with the folds of its cloth."""
    brush = ImageDraw.Draw(canvas)
    pocket = scene.pocket
    rng = Random(f"interior {scene.bin_seed}")
    light = rng.uniform(0.38, 0.82)

    def quad(points: Sequence[Corner], colour: tuple[int, int, int], by: float) -> None:
        shown = [to_px(project(pocket, point)) for point in points]
        brush.polygon(shown, fill=tuple(int(v * by) for v in colour))

    w, h, d = pocket.width, pocket.height, pocket.depth
    over = 0.12 * h
    board = (164, 152, 128) if rng.random() < 0.7 else YELLOW
    quad([(0, -over, d), (w, -over, d), (w, h + over, d), (0, h + over, d)], CLOTH, light)
    quad([(0, h, 0), (w, h, 0), (w, h, d), (0, h, d)], CLOTH, light * 0.6)
    quad([(0, h, 0), (0, h, d), (0, 0, d), (0, 0, 0)], CLOTH, light * 0.85)
    quad([(w, h, 0), (w, h, d), (w, 0, d), (w, 0, 0)], CLOTH, light * 0.9)
    quad([(0, 0, 0), (w, 0, 0), (w, 0, d), (0, 0, d)], board, light * 1.1)
    textures.shaded(canvas, textures.dents(rng, canvas.size), strength=rng.uniform(0.2, 0.55))


def hems(brush: Brush, scene: Scene, *, to_px: ToPx) -> None:
    """The pocket's rims, sides and what shows of its neighbours, over everything inside."""
    rng = Random(f"hems {scene.bin_seed}")
    pocket = scene.pocket
    w, h = pocket.width, pocket.height
    far = 30.0
    for left, right, seam in ((-far, 0.0, -0.3), (w, w + far, w + 0.3)):
        shade = rng.choice(((70, 66, 66), (150, 148, 146), (120, 96, 60), YELLOW))
        _fill(brush, to_px, [(left, -far), (right, -far), (right, far), (left, far)], shade)
        inner = right if left < 0 else left
        _fill(
            brush, to_px, [(seam, -far), (inner, -far), (inner, far), (seam, far)],
            _times(YELLOW, rng.uniform(0.72, 0.92)),
        )  # fmt: skip
        _stroke(brush, to_px, [(inner, -far), (inner, far)], _times(YELLOW, rng.uniform(0.6, 0.8)))
    sag = rng.uniform(-0.01, 0.03) * h
    rim = [(w * n / 8, _lip(n / 8) * sag) for n in range(9)]
    _rim(brush, to_px, [(-far, 0.0), *rim, (w + far, 0.0)], -far, rng)
    bulge = rng.uniform(-0.01, 0.02) * h
    rim = [(w * n / 8, h - _lip(n / 8) * bulge) for n in range(9)]
    if has_open_top(scene):
        _board(brush, to_px, w, h, rng)
    else:
        _rim(brush, to_px, [(-far, h), *rim, (w + far, h)], far, rng)


def has_open_top(scene: Scene) -> bool:
    """Whether a board lies above the pocket, and no next row."""
    return Random(f"top {scene.bin_seed}").random() < OPEN_TOPS


def _board(brush: Brush, to_px: ToPx, w: float, h: float, rng: Random) -> None:
    """A grey board above, the dark gap below it, bright holes in its corners."""
    far, gap = 30.0, rng.uniform(0.0, 0.09) * h
    _fill(brush, to_px, [(-far, h), (w + far, h), (w + far, far), (-far, far)], (178, 172, 170))
    left, right = w * rng.uniform(0.05, 0.2), w * rng.uniform(0.8, 0.95)
    shadow = [(left, h), (right, h), (right, h - gap), (left, h - gap)]
    _fill(brush, to_px, shadow, (44, 38, 38))
    _stroke(brush, to_px, [(-far, h), (w + far, h)], (120, 114, 110))
    for x in (0.0, w - 0.9):
        if rng.random() < 0.5:
            spot = [(x, h), (x + 0.9, h), (x + 0.9, h + 0.3), (x, h + 0.3)]
            _fill(brush, to_px, spot, (250, 250, 246))


def labels(photo: Image.Image, scene: Scene, *, to_px: ToPx, px_per_in: float) -> None:
    """This bin's label below it and the next row's above, each partly out of the photo."""
    rng = Random(f"labels {scene.bin_seed}")
    column, letter = scene.label[0], scene.label[1]
    above = (LETTERS + "K")[LETTERS.index(letter) + 1]
    middle = scene.pocket.width * rng.uniform(0.35, 0.65)
    drop, rise = rng.uniform(0.1, 0.3), rng.uniform(0.12, 0.35)
    wide_in = min(LABEL_IN[0], 0.4 * scene.pocket.width)
    high_in = wide_in * LABEL_IN[1] / LABEL_IN[0]
    shown = (
        (f"{column}{letter}", -drop - high_in),
        (f"{column}{above}", scene.pocket.height + rise),
    )
    for text, y in shown[: 1 if has_open_top(scene) else 2]:
        wide, high = round(wide_in * px_per_in), round(high_in * px_per_in)
        x_px, y_px = to_px((middle - wide_in / 2 + rng.uniform(-0.8, 0.8), y + high_in))
        label = _label(text, (wide, high), rng)
        label = label.rotate(rng.gauss(0, 1.2), Image.Resampling.BILINEAR, fillcolor=YELLOW)
        photo.paste(label, (round(x_px), round(y_px)))


def bands(photo: Image.Image, scene: Scene, *, to_px: ToPx, px_per_in: float) -> None:
    """Elastic bands across the opening: fine light threads with the items showing between."""
    rng = Random(f"bands {scene.bin_seed}")
    mine = Random(f"bands {scene.photo_seed}")
    h = scene.pocket.height
    for low, high in _band_places(rng, h):
        half = (high - low) / 2 * px_per_in
        profile = _threads(rng, half, px_per_in)
        middle = to_px((0.0, (low + high) / 2))[1] + mine.gauss(0, 0.02 * h * px_per_in)
        _lay(photo, profile, middle, mine)
        if rng.random() < 0.4:
            _stitches(photo, rng, middle, half, px_per_in)


def cord(canvas: Image.Image, scene: Scene, *, to_px: ToPx, px_per_in: float) -> None:
    """Before some pockets a thin yellow cord from side to side, with a metal hook on it."""
    rng = Random(f"cord {scene.bin_seed}")
    if rng.random() >= CORDS:
        return
    w, h = scene.pocket.width, scene.pocket.height
    brush, thick = ImageDraw.Draw(canvas), max(1, round(0.09 * px_per_in))
    left, right = h * rng.uniform(0.35, 0.6), h * rng.uniform(0.35, 0.6)
    at = w * rng.uniform(0.05, 0.7)
    meets = left + (right - left) * at / w
    ends = [to_px((-4.0, left)), to_px((at, meets)), to_px((w + 4.0, right))]
    brush.line(ends, fill=(206, 176, 84), width=thick)
    x, y = ends[1]
    long, high = rng.uniform(1.6, 2.6) * px_per_in, 0.35 * px_per_in
    slope = (ends[2][1] - y) / max(1.0, ends[2][0] - x)
    for off, colour in ((1, (84, 80, 80)), (0, (196, 192, 190))):
        brush.line(
            (x - long, y - long * slope + off, x, y + off), fill=(40, 36, 36), width=2 * thick
        )
        loop = (x, y - high + off, x + long, y + high + off)
        brush.rounded_rectangle(loop, radius=high, outline=colour, width=thick)


def _band_places(rng: Random, h: float) -> list[tuple[float, float]]:
    """Lower and upper edge of every band, inches."""
    style = rng.random()
    if h < 9:
        if style < 0.3:
            return [(h * rng.uniform(0.02, 0.1), h * rng.uniform(0.75, 0.9))]
        return [
            (h * rng.uniform(0.05, 0.14), h * rng.uniform(0.36, 0.5)),
            (h * rng.uniform(0.54, 0.62), h * rng.uniform(0.84, 0.97)),
        ]
    if style < 0.3:
        return [(h * rng.uniform(0.02, 0.08), h * rng.uniform(0.26, 0.36))]
    number = 2 if style < 0.65 else 3
    wide = rng.uniform(1.7, 2.6)
    starts = [h * (n + rng.uniform(0.25, 0.6)) / number - wide / 2 for n in range(number)]
    return [(start, start + wide) for start in starts]


def _threads(rng: Random, half: float, px_per_in: float) -> np.ndarray:
    """A band's cross-section, RGBA uint8 (rows, 4), four rows to a pixel."""
    rows = max(8, int(8 * half))
    y = np.arange(rows) / 4 / px_per_in  # inches from the upper edge
    period = rng.uniform(0.13, 0.24)
    wander = 0.12 * np.sin(y * rng.uniform(1, 5) + rng.uniform(0, 6))
    phase = (y / period + wander) % 1
    thread = np.exp(-(((phase - 0.5) / rng.uniform(0.14, 0.24)) ** 2))
    number = (y / period + wander).astype(int)
    strength = np.array([rng.uniform(0.45, 0.95) for _ in range(number.max() + 1)])[number]
    haze = rng.uniform(0.14, 0.36)
    alpha = haze + (rng.uniform(0.65, 0.95) - haze) * thread * strength
    tint = rng.choice(((0, 0, 0), (0, 0, 0), (12, 1, -10), (-10, 0, 11)))
    colour = (
        np.array([228, 226, 226])
        - 40 * (1 - thread[:, None])
        + np.array(tint) * np.cos(np.arange(rows) * rng.uniform(0.005, 0.05))[:, None]
    )  # (rows, 3)
    profile = np.concatenate([colour, 255 * alpha[:, None]], axis=1)  # (rows, 4)
    return np.ascontiguousarray(np.clip(profile, 0, 255).astype(np.uint8))


def _lay(photo: Image.Image, profile: np.ndarray, middle: float, rng: Random) -> None:
    """Put a band over the photo, a little tilted and bent, never beyond its edges."""
    width, height = photo.size
    x = np.linspace(-1, 1, width)
    slope, bend = rng.gauss(0, 0.01) * width, rng.gauss(0, 0.006) * width
    bump = rng.gauss(0, 0.003) * width
    curve = middle + slope * x + bend * x * x + bump * np.sin(x * rng.uniform(2, 6) + 1)
    half = len(profile) / 8
    top = max(0, int(curve.min() - half))
    bottom = min(height, int(curve.max() + half) + 1)
    if bottom <= top:
        return
    y = np.arange(top, bottom, dtype=np.float32)[:, None]
    start = np.float32(half + 0.25) - curve.astype(np.float32)  # rows of the profile count from 1
    rows = ((y + start) * np.float32(4)).astype(np.int32)
    # a clear row at either end takes all that lies outside the band
    packed = np.concatenate([[0], profile.view(np.uint32)[:, 0], [0]]).astype(np.uint32)
    across = packed.take(rows, mode="clip")  # (rows, width)
    band = Image.frombuffer("RGBA", (width, bottom - top), across.tobytes(), "raw", "RGBA", 0, 1)
    photo.paste(band, (0, top), band)


def _stitches(
    photo: Image.Image, rng: Random, middle: float, half: float, px_per_in: float
) -> None:
    """The gathered end of a band, at the left or right edge of the photo."""
    wide, high = round(rng.uniform(0.3, 0.55) * px_per_in), round(2 * half)
    if high < 4 or wide < 3:
        return
    patch = Image.new("L", (wide, high), 120)
    brush = ImageDraw.Draw(patch)
    for y in range(0, high, max(3, round(0.14 * px_per_in))):
        brush.line((0, y, wide, y + rng.randint(-1, 1)), fill=rng.randint(150, 230), width=2)
    x = 0 if rng.random() < 0.5 else photo.width - wide
    photo.paste((226, 220, 212), (x, round(middle - half)), patch)


def _label(text: str, size: tuple[int, int], rng: Random) -> Image.Image:
    """A label: letters and an arrow on white, a square code, a narrow barcode."""
    wide, high = size
    label = _plate(text, size).copy()
    code = Image.new("L", (12, 12))
    code.putdata([255 * rng.getrandbits(1) for _ in range(144)])
    side = max(2, round(high * 0.64))
    spot = (round(wide * 0.73 - side / 2), round(high * 0.18))
    label.paste(code.resize((side, side), Image.Resampling.NEAREST).convert("RGB"), spot)
    return label


@lru_cache(maxsize=256)
def _plate(text: str, size: tuple[int, int]) -> Image.Image:
    """A label without its square code."""
    wide, high = size
    label = Image.new("RGB", size, LABELS[text[1]])
    brush = ImageDraw.Draw(label)
    white, ink = (240, 236, 230), (20, 20, 24)
    brush.rectangle((wide * 0.06, high * 0.16, wide * 0.5, high * 0.84), fill=white)
    font = ImageFont.load_default(max(6, round(high * 0.66)))
    brush.text((wide * 0.09, high * 0.5), text, fill=ink, font=font, anchor="lm",
               stroke_width=max(0, high // 36), stroke_fill=ink)  # fmt: skip
    x, y = wide * 0.43, high * 0.24
    brush.line((x, y, x, high * 0.76), fill=ink, width=max(1, high // 12))
    tip = [(x - high * 0.12, y + high * 0.16), (x, y), (x + high * 0.12, y + high * 0.16)]
    brush.line(tip, fill=ink, width=max(1, high // 12))
    brush.rectangle((wide * 0.6, high * 0.1, wide * 0.86, high * 0.9), fill=white)
    brush.rectangle((wide * 0.9, high * 0.1, wide * 0.96, high * 0.9), fill=white)
    for n in range(3, 25, 2):
        brush.line((wide * 0.9, high * n / 28, wide * 0.96, high * n / 28), fill=(40, 40, 44))
    return label


def _lip(across: float) -> float:
    """A curve with its top at the ends, 0 in the middle."""
    return (2 * across - 1) ** 2 * 2 - 0.4


def _rim(brush: Brush, to_px: ToPx, edge: Sequence[Point], far: float, rng: Random) -> None:
    """A hem from its edge to the end of the photo, lit at the edge, with a line of stitches."""
    _fill(brush, to_px, [*edge, (edge[-1][0], far), (edge[0][0], far)], YELLOW)
    out = 1 if far > 0 else -1
    for _ in range(7):  # folds
        x, wide = rng.uniform(edge[0][0] / 15, edge[-1][0]), rng.uniform(0.2, 1.8)
        y = edge[len(edge) // 2][1]
        fold = [(x, y), (x + wide, y), (x + rng.gauss(wide / 2, 1), y + out * rng.uniform(0.6, 3))]
        _fill(brush, to_px, fold, _times(YELLOW, rng.uniform(0.88, 1.05)))
    for away, light in ((0.06, 0.78), (0.45, 1.08), (0.9, 0.9)):
        line = [(x, y + out * away) for x, y in edge]
        _stroke(brush, to_px, line, _times(YELLOW, light * rng.uniform(0.95, 1.05)))
    _stroke(brush, to_px, edge, _times(YELLOW, rng.uniform(0.66, 0.85)))


def _fill(brush: Brush, to_px: ToPx, points: Sequence[Point], colour: tuple[int, int, int]) -> None:
    brush.polygon([to_px(point) for point in points], fill=colour)


def _stroke(
    brush: Brush, to_px: ToPx, points: Sequence[Point], colour: tuple[int, int, int]
) -> None:
    brush.line([to_px(point) for point in points], fill=colour, width=2)


def _times(colour: tuple[int, int, int], by: float) -> tuple[int, int, int]:
    r, g, b = (min(255, int(v * by)) for v in colour)
    return r, g, b
