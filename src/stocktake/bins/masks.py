"""Masks: which item shows at which pixel of a photo, and how much of each.

Label k is the k-th unit of the metadata: products in the file's order, by ASIN, each as often as
its quantity says; units of one product in the order they were put in.
"""

import io
import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from stocktake.bins import draw, fabric, placing
from stocktake.bins.scene import Scene

FORMAT = "mask/1"
Labels = NDArray[np.uint8]
"""(H, W): 0 for the background, k for unit k."""


def units(scene: Scene) -> list[int]:
    """Index in `scene.items` of every unit of the metadata, in its order."""
    return sorted(range(scene.count), key=lambda n: (scene.items[n].product.asin, n))


def labels(scene: Scene, *, long_side_px: int = 0) -> Labels:
    """The unit nearest to the camera at every pixel, uint8 (H, W), size as in `draw.photo`.

    The pocket's rims and the labels on them hide what lies behind; elastic bands, cords and clear
    film do not, for one sees through them. Blur and noise leave masks as they are.

    Args:
        long_side_px: pixels of the longer side; 0 for the scene's own size.
    """
    view = draw.view(scene, long_side_px)
    label_of = {item: number + 1 for number, item in enumerate(units(scene))}
    canvas = Image.new("RGB", view.size)
    brush = ImageDraw.Draw(canvas)
    for number in placing.drawing_order(scene.items, scene.pocket):
        for side in draw.sides(scene, scene.items[number], view):
            brush.polygon(side.polygon, fill=(label_of[number], 0, 0))
    # rims are drawn by the same hand as in the photo; all of their colours have green or blue
    fabric.hems(brush, scene, to_px=view.to_px)
    fabric.labels(canvas, scene, to_px=view.to_px, px_per_in=view.px_per_in)
    pixels = np.asarray(canvas)
    return np.where(pixels[..., 1:].any(axis=2), 0, pixels[..., 0]).astype(np.uint8)


def png(found: Labels) -> bytes:
    """Labels as a grey PNG of eight bits, lossless."""
    content = io.BytesIO()
    Image.fromarray(found).save(content, "PNG", compress_level=3)
    return content.getvalue()


def record(scene: Scene, found: Labels) -> str:
    """The text of masks/ID.json: pixels of every unit, and the share of its outline that shows.

    Args:
        found: the labels of this scene, uint8 (H, W).
    """
    areas = np.bincount(found.ravel(), minlength=scene.count + 1)
    shares = placing.shares_visible(scene.items, scene.pocket)
    rows: list[dict[str, Any]] = [
        {
            "label": number + 1,
            "asin": scene.items[item].product.asin,
            "area_px": int(areas[number + 1]),
            "visible_share": round(shares[item], 3),
        }
        for number, item in enumerate(units(scene))
    ]
    return json.dumps({"format": FORMAT, "units": rows}, indent=1)
