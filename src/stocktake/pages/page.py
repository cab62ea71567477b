"""Page: templates filled, pictures and drawings inside, nothing fetched from anywhere."""

import base64
import io
import struct
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from stocktake.pages.words import FILTERS

if TYPE_CHECKING:
    from jinja2 import Environment

_BROKEN = (
    OSError, ValueError, TypeError, SyntaxError, LookupError, EOFError, struct.error, OverflowError,
)  # fmt: skip
"""What Pillow raises for damaged files."""

PHOTO_PX = 320
"""Long side of a shown photo: sharp at the 240 px or less it is shown at."""
PHOTO_QUALITY = 80


def render(template: str, **facts: Any) -> str:
    """The template of that name in `templates/`, filled; everything from outside is escaped."""
    return _environment().get_template(template).render(**facts)


@cache
def _environment() -> "Environment":
    from jinja2 import Environment, PackageLoader, StrictUndefined

    environment = Environment(
        loader=PackageLoader("stocktake.pages"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(FILTERS)
    return environment


def photo_uri(photo: Path | bytes, *, side_px: int = PHOTO_PX) -> str | None:
    """A photo as a data URI, upright, at most `side_px` wide and high; None if it is unreadable."""
    from PIL import Image, ImageOps

    file = io.BytesIO(photo) if isinstance(photo, bytes) else photo
    try:
        with Image.open(file) as opened:
            opened.draft("RGB", (side_px, side_px))
            small = ImageOps.exif_transpose(opened).convert("RGB")
    except (*_BROKEN, Image.DecompressionBombError):
        return None
    small.thumbnail((side_px, side_px))
    made = io.BytesIO()
    small.save(made, "JPEG", quality=PHOTO_QUALITY, optimize=True)
    return "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode()


def heat_uri(photo: bytes, heat: Any, *, side_px: int = PHOTO_PX) -> str | None:
    """A photo in grey with a heat map laid over it, as a data URI; None if it is unreadable.

    Args:
        photo: its file.
        heat: uint8 (h, w), 255 the hottest; stretched over the whole photo.
        side_px: the picture's longest side at most.
    """
    import matplotlib
    import numpy as np
    from PIL import Image, ImageOps

    try:
        with Image.open(io.BytesIO(photo)) as opened:
            opened.draft("RGB", (side_px, side_px))
            small = ImageOps.exif_transpose(opened).convert("L")
    except (*_BROKEN, Image.DecompressionBombError):
        return None
    small.thumbnail((side_px, side_px))
    smooth = Image.fromarray(np.array(heat)).resize(small.size, Image.Resampling.BICUBIC)
    share = np.asarray(smooth, dtype=np.float32)[..., None] / 255  # (H, W, 1)
    # inferno rises evenly in lightness: it is read the same without red or green
    colour = matplotlib.colormaps["inferno"](0.25 + 0.7 * share[..., 0])[..., :3] * 255
    grey = np.asarray(small, dtype=np.float32)[..., None] * 0.85
    blend = grey + (colour - grey) * (0.7 * share)
    made = io.BytesIO()
    Image.fromarray(blend.round().astype(np.uint8)).save(made, "JPEG", quality=PHOTO_QUALITY)
    return "data:image/jpeg;base64," + base64.b64encode(made.getvalue()).decode()


def safe(svg: str) -> Markup:
    """A drawing of ours, told to the templates as safe; never for text from outside."""
    return Markup(svg)
