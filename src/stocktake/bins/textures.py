"""Textures: crumpled film, bubble wrap, cloth and printed pictures, cut from a few cached sheets.

A sheet is made once in a process from its number alone; every face takes a window of its own.
"""

from functools import lru_cache
from math import cos, pi, sin
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stocktake.bins.catalog import COLOURS

Picture = Image.Image
Size = tuple[int, int]

SHEET_PX, ARTWORK_PX = 160, 128
CRUMPLED, ARTWORKS = 7, 28
"""Numbers of sheets of each kind."""
_FLIPS = (
    None, Image.Transpose.FLIP_LEFT_RIGHT, Image.Transpose.FLIP_TOP_BOTTOM,
    Image.Transpose.ROTATE_180, Image.Transpose.TRANSPOSE,
)  # fmt: skip


def creases(rng: Random, size: Size) -> tuple[Picture, Picture]:
    """Shade of something crumpled, L, 255 where it is light; and where it shines, L."""
    sheets = _crumpled(rng.randrange(CRUMPLED))
    box, flip = _window(rng, SHEET_PX), rng.choice(_FLIPS)
    return _cut(sheets[0], box, flip, size), _cut(sheets[1], box, flip, size)


def dents(rng: Random, size: Size) -> Picture:
    """The shade alone of `creases`, L."""
    sheet = _crumpled(rng.randrange(CRUMPLED))[0]
    return _cut(sheet, _window(rng, SHEET_PX), rng.choice(_FLIPS), size)


def bubbles(rng: Random, size: Size) -> tuple[Picture, Picture]:
    """Bubble wrap: its shade, L, to multiply with; and the spots where it shines, L."""
    side = round(SHEET_PX * rng.uniform(0.55, 1.0))
    wide = side if size[0] >= size[1] else max(12, side * size[0] // size[1])
    high = side if size[1] >= size[0] else max(12, side * size[1] // size[0])
    box = (0, 0, wide, high)
    shade, shine = (_cut(sheet, box, None, size) for sheet in _bubbled())
    return shade, shine


def artwork(rng: Random, size: Size) -> Picture:
    """A picture as printed on a box or a cover, RGB: shapes and what looks like a photo."""
    sheet = _painted(rng.randrange(ARTWORKS))
    return _cut(sheet, _window(rng, ARTWORK_PX), rng.choice(_FLIPS[:2]), size)


def shaded(picture: Picture, shade: Picture, *, strength: float) -> None:
    """Darken a picture in place by a shade, L, of its size: 1 multiplies, 0 leaves it."""
    darken(picture, shade.point(_darkness(round(strength, 2))))


def darken(picture: Picture, mask: Picture) -> None:
    """Take light from an RGB picture in place: 255 in the mask, L, leaves none."""
    # a black picture is pasted in half the time of the colour black
    picture.paste(Image.new("RGB", picture.size), (0, 0), mask)


@lru_cache(maxsize=128)
def _darkness(strength: float) -> list[int]:
    return [round((255 - v) * strength) for v in range(256)]


def _window(rng: Random, sheet_px: int) -> tuple[int, int, int, int]:
    side = rng.randint(sheet_px // 2, sheet_px)
    left, top = rng.randint(0, sheet_px - side), rng.randint(0, sheet_px - side)
    return left, top, left + side, top + side


def _cut(
    sheet: Picture, box: tuple[int, int, int, int], flip: Image.Transpose | None, size: Size
) -> Picture:
    # the nearest pixel will do, as in draw.py: the camera's blur comes on top
    if flip is Image.Transpose.TRANSPOSE:
        return sheet.transpose(flip).resize(size, Image.Resampling.NEAREST, box=box)
    found = sheet.resize(size, Image.Resampling.NEAREST, box=box)
    return found if flip is None else found.transpose(flip)


@lru_cache(maxsize=CRUMPLED)
def _crumpled(number: int) -> tuple[Picture, Picture]:
    """Facets between straight creases, lit from the upper left.

    The height is a sum of |distance to a line|: its slope is even between the lines and jumps at
    each. The lines are bent a little, and fade in and out.
    """
    rng = Random(f"crumpled {number}")
    y, x = np.mgrid[0:SHEET_PX, 0:SHEET_PX].astype(np.float32) / SHEET_PX
    bent_x = x + 0.03 * np.sin(y * rng.uniform(6, 14) + rng.uniform(0, 6))
    bent_y = y + 0.03 * np.sin(x * rng.uniform(6, 14) + rng.uniform(0, 6))
    slope_x, slope_y = np.zeros_like(x), np.zeros_like(x)
    glint = np.zeros_like(x)
    for _ in range(20):
        angle, at_x, at_y = rng.uniform(0, 2 * pi), rng.random(), rng.random()
        across = (bent_x - at_x) * cos(angle) + (bent_y - at_y) * sin(angle)
        along = (bent_y - at_y) * cos(angle) - (bent_x - at_x) * sin(angle)
        near = np.exp(
            -((along / rng.uniform(0.12, 0.5)) ** 2 + (across / rng.uniform(0.1, 0.4)) ** 2)
        )
        turn = rng.gauss(0, 0.6) * np.tanh(across * rng.choice((40, 90, 160))) * near
        slope_x += turn * cos(angle)
        slope_y += turn * sin(angle)
        thin = rng.uniform(0.003, 0.008)
        glint += rng.uniform(0, 0.7) * near * np.exp(-((across / thin) ** 2))
    shade = np.clip(205 - 75 * (slope_x + 0.8 * slope_y), 60, 255)
    towards = (slope_x + 0.45) ** 2 + (slope_y + 0.4) ** 2
    shine = 235 * np.exp(-towards / 0.08) + 150 * glint
    return _grey(shade), _grey(np.clip(shine, 0, 245))


@lru_cache(maxsize=1)
def _bubbled() -> tuple[Picture, Picture]:
    """Rows of round bubbles, each row half a bubble on; 14 across a sheet."""
    period = SHEET_PX / 14
    y, x = np.mgrid[0:SHEET_PX, 0:SHEET_PX].astype(np.float32)
    row = np.floor(y / (period * 0.866))
    dx = (x + (row % 2) * period / 2) % period - period / 2
    dy = y - (row + 0.5) * period * 0.866
    radius = np.hypot(dx, dy) / (period / 2)
    rim = np.exp(-(((radius - 0.85) / 0.16) ** 2))
    light = np.exp(
        -(((dx + period * 0.16) ** 2 + (dy + period * 0.16) ** 2) / (period * 0.13) ** 2)
    )
    wave = 0.5 + 0.5 * np.sin(x / 31 + np.sin(y / 23) * 2)
    shade = 225 - 70 * rim + 25 * np.clip(1 - radius, 0, 1)
    return _grey(np.clip(shade, 0, 255)), _grey(np.clip(60 * wave + 190 * light * wave, 0, 245))


@lru_cache(maxsize=ARTWORKS)
def _painted(number: int) -> Picture:
    """Soft noise in a few colours of one palette, with some hard shapes in it."""
    rng = Random(f"artwork {number}")
    noise = np.zeros((ARTWORK_PX, ARTWORK_PX), dtype=np.float32)
    for cells, weight in ((3, 1.0), (6, 0.6), (14, 0.35), (34, 0.22)):
        small = np.array([rng.gauss(0, 1) for _ in range(cells * cells)], dtype=np.float32)
        large = Image.fromarray(small.reshape(cells, cells)).resize(
            noise.shape, Image.Resampling.BICUBIC
        )
        noise += weight * np.asarray(large)
    y, x = np.mgrid[0:ARTWORK_PX, 0:ARTWORK_PX].astype(np.float32) / ARTWORK_PX
    for _ in range(rng.randint(2, 7)):
        angle, sign = rng.uniform(0, pi), rng.choice((-1, 1))
        dx, dy = x - rng.random(), y - rng.random()
        u, v = dx * cos(angle) + dy * sin(angle), dy * cos(angle) - dx * sin(angle)
        wide, high, power = rng.uniform(0.08, 0.35), rng.uniform(0.04, 0.3), rng.choice((2, 2, 8))
        noise += sign * rng.uniform(0.8, 2.2) * ((u / wide) ** power + (v / high) ** power < 1)
    stops = sorted(rng.gauss(0, 1.5) for _ in range(5))
    palette = rng.sample(COLOURS, 3)
    colours = [rng.choice(palette) for _ in stops]
    channels = [np.interp(noise, stops, [colour[c] for colour in colours]) for c in range(3)]
    return Image.fromarray(np.stack(channels, axis=2).astype(np.uint8))


def _grey(values: NDArray[np.float32]) -> Picture:
    return Image.fromarray(values.astype(np.uint8))
