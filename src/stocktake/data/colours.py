"""Colours: the dominant ones of many photos, with the nearest CSS name."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPACE = "CIELAB (D65)"
"""Colours are clustered where distances are as people see them."""
NAMES = "nearest CSS colour by CIEDE2000; greys only below chroma 6"
"""How colours get their names. CSS has no dull browns, so that by any distance alone the nearest to
most cardboard and shelves is dimgray, which no one would call them: a colour with a hue to be seen
is named among those that have one."""
HAS_HUE = 6.0
"""CIELAB chroma from which a colour has a hue to be seen."""
PIXELS = 12_000
"""Pixels looked at per set of photos. Shares move under 0.01 from here to four times as many."""

_TO_XYZ = np.array(  # sRGB, IEC 61966-2-1
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
_WHITE = np.array([0.95047, 1.0, 1.08883])  # D65, 2 degrees


def dominant(pixels: NDArray[np.uint8], *, colours: int, seed: int) -> list[dict[str, Any]]:
    """The dominant colours among some pixels, the largest share first.

    Args:
        pixels: uint8 (P, 3), RGB.
        colours: how many; fewer where the pixels have fewer.
        seed: of the clusters' start.

    Returns:
        For every colour: rgb [3], hex, name (nearest CSS name) and share, 0 to 1.
    """
    from sklearn.cluster import KMeans

    different = len(np.unique(pixels, axis=0))
    fitted = KMeans(min(colours, different), n_init=2, random_state=seed).fit(to_lab(pixels))
    shares = np.bincount(fitted.labels_, minlength=fitted.n_clusters) / len(pixels)
    found = []
    for cluster in np.argsort(-shares, kind="stable"):
        rgb = [round(v) for v in pixels[fitted.labels_ == cluster].mean(axis=0).tolist()]
        found.append(
            {
                "rgb": rgb,
                "hex": "#{:02x}{:02x}{:02x}".format(*rgb),
                "name": css_name(rgb),
                "share": round(float(shares[cluster]), 4),
            }
        )
    return found


def some_pixels(
    photo: NDArray[np.uint8], number: int, *, seed: int | Sequence[int]
) -> NDArray[np.uint8]:
    """uint8 (number, 3) pixels at random places of a photo, uint8 (H, W, 3)."""
    flat = photo.reshape(-1, 3)
    places = np.random.default_rng(seed).integers(0, len(flat), number)
    taken: NDArray[np.uint8] = flat[places]
    return taken


def to_lab(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """CIELAB (N, 3) of sRGB colours 0 to 255, (N, 3)."""
    channel = np.asarray(rgb, dtype=np.float64) / 255
    linear = np.where(channel <= 0.04045, channel / 12.92, ((channel + 0.055) / 1.055) ** 2.4)
    xyz = linear @ _TO_XYZ.T / _WHITE
    bent = np.where(xyz > 216 / 24389, np.cbrt(xyz), (24389 / 27 * xyz + 16) / 116)
    x, y, z = bent.T
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=1)


def css_name(rgb: Sequence[int]) -> str:
    """Name of the CSS colour nearest to an sRGB colour 0 to 255, as NAMES says."""
    names, labs = _css()
    lab = to_lab(np.array([rgb]))
    gaps = ciede2000(lab, labs)
    gaps[_has_hue(labs) != _has_hue(lab)] = np.inf
    return names[int(gaps.argmin())]


def _has_hue(lab: NDArray[np.float64]) -> NDArray[np.bool_]:
    return np.hypot(lab[:, 1], lab[:, 2]) >= HAS_HUE


def ciede2000(one: NDArray[np.float64], other: NDArray[np.float64]) -> NDArray[np.float64]:
    """CIEDE2000 differences (N,) of CIELAB colours (N, 3) and (N, 3) or (1, 3).

    Sharma, Wu and Dalal, "The CIEDE2000 color-difference formula", 2005.
    """
    mean_chroma = (np.hypot(*one[:, 1:].T) + np.hypot(*other[:, 1:].T)) / 2
    stretch = 1 + 0.5 * (1 - np.sqrt(_at_25(mean_chroma)))
    light, chroma, hue = _polar(one, stretch)
    light_2, chroma_2, hue_2 = _polar(other, stretch)
    turn = np.where(chroma * chroma_2 == 0, 0, (hue_2 - hue + 180) % 360 - 180)
    gap = 2 * np.sqrt(chroma * chroma_2) * np.sin(np.radians(turn) / 2)
    mean_hue = np.radians(np.where(chroma * chroma_2 == 0, hue + hue_2, hue + turn / 2) % 360)
    mean_light, mean_chroma = (light + light_2) / 2, (chroma + chroma_2) / 2
    weight = (
        1
        - 0.17 * np.cos(mean_hue - np.radians(30))
        + 0.24 * np.cos(2 * mean_hue)
        + 0.32 * np.cos(3 * mean_hue + np.radians(6))
        - 0.20 * np.cos(4 * mean_hue - np.radians(63))
    )
    away = (mean_light - 50) ** 2
    by_light = (light_2 - light) / (1 + 0.015 * away / np.sqrt(20 + away))
    by_chroma = (chroma_2 - chroma) / (1 + 0.045 * mean_chroma)
    by_hue = gap / (1 + 0.015 * mean_chroma * weight)
    blue = np.radians(30) * np.exp(-(((np.degrees(mean_hue) - 275) / 25) ** 2))
    turned = -2 * np.sqrt(_at_25(mean_chroma)) * np.sin(2 * blue)
    squared = by_light**2 + by_chroma**2 + by_hue**2 + turned * by_chroma * by_hue
    return np.sqrt(np.maximum(squared, 0))


def _at_25(chroma: NDArray[np.float64]) -> NDArray[np.float64]:
    return chroma**7 / (chroma**7 + 25.0**7)


def _polar(lab: NDArray[np.float64], stretch: NDArray[np.float64]) -> list[NDArray[np.float64]]:
    """Lightness, chroma and hue in degrees, the red-green axis stretched for dull colours."""
    red = stretch * lab[:, 1]
    hue = np.degrees(np.arctan2(lab[:, 2], red)) % 360
    return [lab[:, 0], np.hypot(red, lab[:, 2]), hue]


@cache
def _css() -> tuple[list[str], NDArray[np.float64]]:
    from PIL import ImageColor

    names, seen = [], set()
    for name in sorted(ImageColor.colormap):  # gray before grey, aqua before cyan
        rgb = ImageColor.getrgb(name)[:3]
        if rgb not in seen:
            seen.add(rgb)
            names.append(name)
    return names, to_lab(np.array([ImageColor.getrgb(name)[:3] for name in names]))
