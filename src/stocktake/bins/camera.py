"""Camera: what a dim, warm and slightly soft photo makes of clean colours."""

from functools import lru_cache
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image

Photo = NDArray[np.uint8]
"""(H, W, C), RGB."""

BLACK, WHITE = (45, 36, 36), (234, 204, 178)
"""What black and white look like in ABID: 1st and 99th percentile are (58, 46, 41) and
(215, 182, 151), medians over 70 photos."""
OUT_OF_FOCUS = 0.04
"""Share of photos with no edge left: two of the first forty with 1 to 5 items."""
_SHARPEST = 0.3
"""Largest weight of a neighbour in one pass of blurring; more would leave a double image."""
_GRAIN_PX = (560, 420)
"""Height and width of the sheet of noise; four of them cover the largest photo."""


def taken(canvas: Image.Image, *, seed: int, scale: float) -> Photo:
    """The photo of a canvas: exposure, warm light, haze, blur and noise.

    Args:
        seed: tells one photo from the next.
        scale: pixels of this photo by pixels of the same photo in ABID's size; blur follows it.
    """
    rng = Random(f"camera {seed}")
    exposure, warmth = rng.lognormvariate(-0.04, 0.14), rng.gauss(0, 0.025)
    haze = rng.lognormvariate(-0.06, 0.16)
    tints = (1 + warmth, 1.0, 1 - warmth)
    spans = [(w - b) * exposure * t for w, b, t in zip(WHITE, BLACK, tints, strict=True)]
    # in steps of 1/128, so that all fits 16 bits: 2 * 255 * 128 < 2**16
    gain = np.array([min(230, round(span * 128 / 255)) for span in spans], dtype=np.uint16)
    black = np.array([round(b * haze * 128) for b in BLACK], dtype=np.uint16)
    width, height = canvas.size
    # rows of pixels and channels in one, for NumPy is slow where the last axis is short
    clean = np.asarray(canvas).reshape(height, 3 * width)
    pixels = clean * np.tile(gain, width) + np.tile(black, width)  # (H, W * C)
    pixels >>= np.uint16(7)
    soft = rng.lognormvariate(-0.7, 0.4) if rng.random() < 0.84 else rng.uniform(1.2, 2.8)
    if rng.random() < OUT_OF_FOCUS:
        soft = rng.uniform(3.5, 8)
    across = soft * (rng.uniform(1.5, 3) if rng.random() < 0.1 else 1.0)
    pixels = blurred(pixels, soft * scale, axis=0)
    pixels = blurred(pixels, across * scale, axis=1, stride=3)
    grain = _grain()
    top = rng.randrange(max(1, grain.shape[0] - height))
    left = 3 * rng.randrange(max(1, grain.shape[1] // 3 - width))
    noisy = pixels.view(np.int16)
    noisy += grain[top : top + height, left : left + 3 * width]
    return np.clip(noisy, 0, 255, out=noisy).astype(np.uint8).reshape(height, width, 3)


def blurred(
    pixels: NDArray[np.uint16], sigma: float, *, axis: int, stride: int = 1
) -> NDArray[np.uint16]:
    """Pixels blurred along one axis by `sigma` pixels; values up to 511, (rows, columns).

    Passes of three taps 1, 2, ... pixels apart: their variances add up, and a pass of whole numbers
    costs a sixth of Pillow's Gaussian blur.

    Args:
        stride: columns or rows from one pixel to the next.
    """
    variance = sigma * sigma
    weighed = np.empty_like(pixels)
    apart = 1
    while 2 * _SHARPEST * _squares(apart) < variance:
        apart += 1
    side = np.uint16(round(64 * variance / 2 / _squares(apart)))
    for step in range(stride, apart * stride + 1, stride):
        if 2 * step >= pixels.shape[axis]:
            break
        sums = np.empty_like(pixels)
        source, target = (pixels, sums) if axis == 0 else (pixels.T, sums.T)
        np.add(source[: -2 * step], source[2 * step :], out=target[step:-step])
        np.add(source[step : 2 * step], source[:step], out=target[:step])
        np.add(source[-2 * step : -step], source[-step:], out=target[-step:])
        sums *= side
        np.multiply(pixels, np.uint16(64) - 2 * side, out=weighed)
        weighed += np.uint16(32)
        sums += weighed
        sums >>= np.uint16(6)
        pixels = sums
    return pixels


def _squares(last: int) -> int:
    """1 + 4 + ... + last * last."""
    return last * (last + 1) * (2 * last + 1) // 6


@lru_cache(maxsize=1)
def _grain() -> NDArray[np.int16]:
    """Sensor noise around 0, (H, W * C); every photo takes a piece."""
    rng = np.random.Generator(np.random.PCG64(1))
    shared = rng.normal(0, 1.6, size=(*_GRAIN_PX, 1))
    noise = (shared + rng.normal(0, 1.0, size=(*_GRAIN_PX, 3))).round().astype(np.int16)
    return np.tile(noise.reshape(_GRAIN_PX[0], -1), (2, 2))
