"""What several rooms test with: a bundle that counts brightness, a bucket to list and read."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from bright import grey, write_bright_bundle
from PIL import Image

from stocktake.schema import photos as photos_schema


@pytest.fixture
def photo_of() -> Callable[..., bytes]:
    """A photo that the bright bundle counts as the number given."""
    return grey


@pytest.fixture
def bundle_maker() -> Callable[..., Path]:
    """Makes a whole bundle of the bright model in a folder; bundle.json's fields may be changed."""
    return write_bright_bundle


@pytest.fixture
def bright_bundle(bundle_maker: Callable[..., Path], tmp_path: Path) -> Path:
    """A whole bundle of the bright model."""
    return bundle_maker(tmp_path / "bundle")


class Bucket:
    """A folder with bin-images/ and metadata/; photos are plain and small."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        for name in ("bin-images", "metadata"):
            (folder / name).mkdir(parents=True)

    def photo(self, photo_id: str, *, size: tuple[int, int] = (40, 30), shade: int = 90) -> bytes:
        made = io.BytesIO()
        Image.new("RGB", size, (shade, 2 * shade % 256, 40)).save(made, "JPEG")
        self.put(f"bin-images/{photo_id}.jpg", made.getvalue())
        return made.getvalue()

    def record(self, photo_id: str, items: dict[str, int], *, count: int | None = None) -> None:
        products = {asin: {"asin": asin, "quantity": n} for asin, n in items.items()}
        expected = sum(items.values()) if count is None else count
        text = json.dumps({"BIN_FCSKU_DATA": products, "EXPECTED_QUANTITY": expected})
        self.put(f"metadata/{photo_id}.json", text.encode())

    def bin(self, photo_id: str, **items: int) -> None:
        self.photo(photo_id)
        self.record(photo_id, items)

    def put(self, key: str, data: bytes) -> None:
        (self.folder / key).write_bytes(data)


@pytest.fixture
def bucket(tmp_path: Path) -> Bucket:
    return Bucket(tmp_path / "bucket")


def row_of(photo_id: str, count: int, quantities: dict[str, int], **more: Any) -> dict[str, Any]:
    sizes = {key: more.pop(key) for key in ("height_in", "length_in", "weight_lb") if key in more}
    items = [
        {"asin": asin, "quantity": n, "width_in": 2.0, **sizes} for asin, n in quantities.items()
    ]
    made: dict[str, Any] = {"photo_id": photo_id, "count": count, "items": items}
    made |= {"width_px": 400, "height_px": 200, "source": "k", "jpeg": b""}
    return made | {"sha256": f"of {photo_id}"} | more


@pytest.fixture(scope="session")
def photo_row() -> Callable[..., dict[str, Any]]:
    """Makes one row: id, count, quantities by ASIN; sizes of every item and any column by name."""
    return row_of


@pytest.fixture(scope="session")
def table_of() -> Callable[..., pa.Table]:
    """Makes a table of such rows, without the jpeg column."""

    def make(*rows: dict[str, Any]) -> pa.Table:
        return pa.Table.from_pylist(list(rows), schema=photos_schema.SCHEMA).drop_columns(["jpeg"])

    return make
