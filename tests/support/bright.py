"""A bundle that counts brightness: a whole one, small, quick, and right by construction."""

import io
from pathlib import Path

import numpy as np
from PIL import Image

from stocktake.schema import bundles
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


def write_bright_bundle(folder: Path, **change: object) -> Path:
    """A whole bundle of the bright model in that folder; bundle.json's fields may be changed."""
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


def _expect_todays_answer(folder: Path) -> None:
    from stocktake.serve.predictor import Predictor

    (answer,) = Predictor.load(folder).predict([grey(2)])
    bundles.write_json(folder, bundles.SELF_TEST_EXPECTED, answer.to_dict())  # type: ignore[union-attr]
