"""Preprocess: the one way from photo bytes to what a model sees, for train, score and serve."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from stocktake.errors import DataError
from stocktake.imaging.decode import decode_near


@dataclass(frozen=True, kw_only=True, slots=True)
class Preprocessing:
    """What a model wants its photos to be; kept in checkpoint.json and bundle.json."""

    side_px: int
    """Both sides of the squared photo, pixels."""
    mean: tuple[float, float, float]
    """Per channel R, G, B, on the scale 0 to 1; subtracted."""
    std: tuple[float, float, float]
    """Per channel R, G, B, on the scale 0 to 1; divided by."""

    def to_dict(self) -> dict[str, Any]:
        """Plain data for a JSON file."""
        return {k: list(v) if isinstance(v, tuple) else v for k, v in asdict(self).items()}

    @classmethod
    def from_dict(cls, row: Mapping[str, Any]) -> "Preprocessing":
        """The same from plain data.

        Raises:
            DataError: if a field is missing or is not what it should be.
        """
        try:
            made = cls(
                side_px=int(row["side_px"]), mean=_three(row["mean"]), std=_three(row["std"])
            )
        except (KeyError, TypeError, ValueError) as err:
            raise DataError(
                f"preprocessing {dict(row)} is not side_px, mean[3] and std[3]; export it again"
            ) from err
        if made.side_px < 1 or min(made.std) <= 0:
            raise DataError(f"preprocessing {dict(row)} needs side_px >= 1 and std > 0")
        return made


VIEWS: tuple[tuple[int, ...], ...] = ((), (-1,), (-2,), (-2, -1))
"""Ways to look at a photo: the axes of planes (..., S, S) turned round. As it is, mirrored,
upside down, both: a bin holds as many things whichever way it is looked at."""


def prepare(photo: bytes, side_px: int) -> NDArray[np.uint8]:
    """The photo decoded and squashed to a square, uint8 (S, S, 3), S = side_px.

    Squashed, not cropped: every item in the bin counts. Bilinear with antialiasing; a large JPEG is
    first unpacked at the smallest eighths of its size that keep `side_px` both ways.

    Raises:
        DataError: if the photo cannot be decoded.
    """
    rgb = decode_near(photo, at_least_px=side_px)
    if rgb.size != (side_px, side_px):
        rgb = rgb.resize((side_px, side_px), Image.Resampling.BILINEAR)
    return np.asarray(rgb)


def normalise(photos: NDArray[np.uint8], preprocessing: Preprocessing) -> NDArray[np.float32]:
    """float32 (B, 3, S, S) for a model, from uint8 (B, S, S, 3).

    Raises:
        DataError: if the array has another shape or type.
    """
    side_px = preprocessing.side_px
    if photos.dtype != np.uint8 or photos.shape[1:] != (side_px, side_px, 3):
        raise DataError(
            f"photos are {photos.dtype} {photos.shape}, expected uint8"
            f" (B, {side_px}, {side_px}, 3); use imaging.preprocess.prepare"
        )
    mean = np.asarray(preprocessing.mean, dtype=np.float32)
    std = np.asarray(preprocessing.std, dtype=np.float32)
    scale, shift = 1 / (255 * std), mean / std
    planes = np.ascontiguousarray(photos.transpose(0, 3, 1, 2))  # (B, 3, S, S)
    return planes * scale[:, None, None] - shift[:, None, None]


def _three(values: Any) -> tuple[float, float, float]:
    red, green, blue = (float(v) for v in values)
    return red, green, blue
