"""A small place in the bucket's layout, to list and to read."""

import io
import json
from pathlib import Path

import pytest
from PIL import Image


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
