"""Colours: the dominant ones of many photos, with the nearest CSS name."""

from collections.abc import Sequence
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

SPACE = "CIELAB (D65)"
"""Colours are clustered and named where distances are as people see them."""
PIXELS = 12_000
"""Pixels looked at per set of photos; with 40 photos 300 of each. Shares move under 0.01 from here
to four times as many."""

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


def some_pixels(photo: NDArray[np.uint8], number: int, *, seed: int) -> NDArray[np.uint8]:
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
    """Name of the CSS colour nearest to an sRGB colour 0 to 255."""
    names, labs = _css()
    gaps = ((labs - to_lab(np.array([rgb]))) ** 2).sum(axis=1)
    return names[int(gaps.argmin())]


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
