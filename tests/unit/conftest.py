"""What several rooms test with: a bundle that counts brightness, a bucket to list and read."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from PIL import Image

from stocktake.schema import bundles
from stocktake.schema import photos as photos_schema
from stocktake.schema.bundles import Bundle

SIDE_PX = 32
MAX_COUNT = 5


def grey(count: int, *, kind: str = "JPEG") -> bytes:
    """A photo that the bright model counts as `count`."""
    shade = round(255 * count / MAX_COUNT)
    file = io.BytesIO()
    Image.new("RGB", (48, 40), (shade, shade, shade)).save(file, kind, quality=95)
    return file.getvalue()


def write_bright_model(path: Path, *, max_count: int = MAX_COUNT, side_px: int = SIDE_PX) -> None:
    """ONNX that answers a photo's mean brightness, as log-probabilities over counts.

    The right half weighs more than the left, so that a mirrored photo is another photo.
    """
    from onnx import TensorProto, checker, helper, numpy_helper, save

    centres = np.linspace(-2, 2, max_count + 1, dtype=np.float32)[None]  # grey of 0 and of 255
    constants = {"axes": np.array([1, 2, 3]), "centres": centres, "scale": np.float32([-8])}
    nodes = [
        helper.make_node("Mul", ["photos", "columns"], ["weighed"]),
        helper.make_node("ReduceMean", ["weighed", "axes"], ["mean"], keepdims=0),
        helper.make_node("Unsqueeze", ["mean", "one"], ["column"]),
        helper.make_node("Sub", ["column", "centres"], ["away"]),
        helper.make_node("Mul", ["away", "away"], ["squared"]),
        helper.make_node("Mul", ["squared", "scale"], ["logits"]),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=1),
    ]
    constants["one"] = np.array([1])
    constants["columns"] = np.linspace(0.5, 1.5, side_px, dtype=np.float32)[None, None, None]
    graph = helper.make_graph(
        nodes,
        "bright",
        [helper.make_tensor_value_info("photos", TensorProto.FLOAT, ["B", 3, side_px, side_px])],
        [helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["B", max_count + 1])],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    checker.check_model(model)
    save(model, path)


@pytest.fixture
def photo_of() -> Callable[..., bytes]:
    """A photo that the bright bundle counts as the number given."""
    return grey


@pytest.fixture
def bundle_maker() -> Callable[..., Path]:
    """Makes a whole bundle of the bright model in a folder; bundle.json's fields may be changed."""

    def make(folder: Path, **change: object) -> Path:
        folder.mkdir(parents=True, exist_ok=True)
        write_bright_model(folder / bundles.MODEL)
        about = {
            "max_count": MAX_COUNT,
            "preprocessing": {"side_px": SIDE_PX, "mean": [0.5] * 3, "std": [0.25] * 3},
            "calibration": {"temperature": 1.0, "coverage": 0.9, "threshold": 0.95},
            "backbone": "bright",
            "head": "softmax",
            "weights_source": "none",
            "model_sha256": bundles.hash_of(folder / bundles.MODEL),
        }
        bundles.write(folder, Bundle(**(about | change)))  # type: ignore[arg-type]
        path = folder / bundles.SELF_TEST_PHOTO
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(grey(2))
        _expect_todays_answer(folder)
        return folder

    return make


def _expect_todays_answer(folder: Path) -> None:
    from stocktake.serve.predictor import Predictor

    (answer,) = Predictor.load(folder).predict([grey(2)])
    bundles.write_json(folder, bundles.SELF_TEST_EXPECTED, answer.to_dict())  # type: ignore[union-attr]


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
