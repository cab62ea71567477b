import logging
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper

from stocktake.errors import DataError, StocktakeError
from stocktake.serve.quantise import last_nodes, quantise, quantised_ops

SIDE_PX, CHANNELS, COUNTS = 16, 12, 4


def model(path: Path, *, layers: bool = True, has_norm: bool = False) -> Path:
    """A depthwise convolution whose filters differ a hundredfold, a layer, log-probabilities."""
    rng = np.random.default_rng(0)
    sizes = np.geomspace(0.01, 1, CHANNELS)[:, None, None, None]
    constants = {
        "first": rng.normal(size=(CHANNELS, 3, 3, 3)) / 3,
        "each": rng.normal(size=(CHANNELS, 1, 3, 3)) * sizes,
        "back": rng.normal(size=(CHANNELS, CHANNELS, 1, 1)) / sizes.reshape(1, CHANNELS, 1, 1) / 9,
        "last": rng.normal(size=(CHANNELS, COUNTS)),
    }
    body = [
        helper.make_node("Conv", ["photos", "first"], ["seen"], "stem"),
        helper.make_node("Conv", ["seen", "each"], ["parted"], "depthwise", group=CHANNELS),
        helper.make_node("Conv", ["parted", "back"], ["joined"], "pointwise"),
        helper.make_node("Relu", ["joined"], ["bent"], "relu"),
        helper.make_node("GlobalAveragePool", ["bent"], ["pooled"], "pool"),
        helper.make_node("Flatten", ["pooled"], ["features"], "flatten"),
        helper.make_node("Gemm", ["features", "last"], ["logits"], "head"),
        helper.make_node("LogSoftmax", ["logits"], ["log_probs"], "end", axis=1),
    ]
    if has_norm:
        constants["norm"] = np.ones(CHANNELS)
        body[-2].input[0] = "even"
        body.insert(-2, helper.make_node("LayerNormalization", ["features", "norm"], ["even"]))
    if not layers:
        body = [
            helper.make_node("GlobalAveragePool", ["photos"], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["logits"]),
            helper.make_node("LogSoftmax", ["logits"], ["log_probs"], axis=1),
        ]
        constants = {}
    shape = ["B", 3, SIDE_PX, SIDE_PX]
    graph = helper.make_graph(
        body,
        "counter",
        [helper.make_tensor_value_info("photos", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("log_probs", TensorProto.FLOAT, ["B", None])],
        [numpy_helper.from_array(v.astype(np.float32), name) for name, v in constants.items()],
    )
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    onnx.save(made, path)
    return path


def photos(n: int, *, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).normal(size=(n, 3, SIDE_PX, SIDE_PX)).astype(np.float32)


def answers(path: Path, seen: np.ndarray) -> np.ndarray:
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    return np.exp(session.run(None, {"photos": seen})[0])


def test_the_twin_answers_nearly_the_same_for_any_batch(tmp_path):
    made = model(tmp_path / "model.onnx")
    quantise(made, tmp_path / "int8.onnx", [photos(8, seed=1), photos(8, seed=2)])

    for seen in (photos(1, seed=3), photos(7, seed=4)):
        gap = np.abs(answers(tmp_path / "int8.onnx", seen) - answers(made, seen)).max()
        assert 0 < gap < 0.05
    assert quantised_ops(made) == 0 < quantised_ops(tmp_path / "int8.onnx")


def test_weights_are_7_of_8_bits_with_a_scale_for_each_channel(tmp_path):
    quantise(model(tmp_path / "model.onnx"), tmp_path / "int8.onnx", [photos(8, seed=1)])
    graph = onnx.load(tmp_path / "int8.onnx").graph
    kept = {one.name: numpy_helper.to_array(one) for one in graph.initializer}
    weights = [values for values in kept.values() if values.dtype == np.int8 and values.ndim == 4]

    assert len(weights) == 3
    assert all(np.abs(values.astype(int)).max() <= 64 for values in weights)
    assert all(np.abs(v.astype(int)).max(axis=(1, 2, 3)).min() > 60 for v in weights)


def test_the_last_layer_and_what_follows_stay_float32(tmp_path):
    quantise(model(tmp_path / "model.onnx"), tmp_path / "int8.onnx", [photos(8, seed=1)])
    graph = onnx.load(tmp_path / "int8.onnx").graph
    head = next(node for node in graph.node if node.op_type == "Gemm")

    assert last_nodes(onnx.load(tmp_path / "model.onnx").graph) == ["head", "end"]
    weights = next(one for one in graph.initializer if one.name == head.input[1])
    assert weights.data_type == TensorProto.FLOAT


def test_a_model_may_be_replaced_by_its_twin(tmp_path):
    made = model(tmp_path / "model.onnx")
    quantise(made, made, [photos(4, seed=1)])

    assert quantised_ops(made) > 0
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_a_model_without_layers_is_refused_and_leaves_no_file(tmp_path):
    made = model(tmp_path / "model.onnx", layers=False)

    with pytest.raises(StocktakeError, match="nothing in .* can be quantised.*float32"):
        quantise(made, tmp_path / "int8.onnx", [photos(4, seed=1)])
    assert [path.name for path in tmp_path.iterdir()] == ["model.onnx"]


def test_what_the_engine_cannot_read_is_one_line(tmp_path):
    (tmp_path / "model.onnx").write_bytes(b"no model")

    with pytest.raises(StocktakeError, match="model.onnx cannot be quantised") as caught:
        quantise(tmp_path / "model.onnx", tmp_path / "int8.onnx", [photos(4, seed=1)])
    assert "\n" not in str(caught.value)


def test_a_photo_that_cannot_be_had_is_told_as_it_is(tmp_path):
    def broken():
        yield photos(4, seed=1)
        raise DataError("there is no photo '7'")

    with pytest.raises(DataError, match="no photo '7'"):
        quantise(model(tmp_path / "model.onnx"), tmp_path / "int8.onnx", broken())


def test_nothing_is_said_of_layers_that_have_no_channels(tmp_path, caplog):
    made = model(tmp_path / "model.onnx", has_norm=True)
    quantise(made, tmp_path / "int8.onnx", [photos(8, seed=1)])

    assert caplog.records == []
    gap = np.abs(
        answers(tmp_path / "int8.onnx", photos(3, seed=4)) - answers(made, photos(3, seed=4))
    )
    assert 0 < gap.max() < 0.1


def test_the_callers_logging_stays_as_it_is(tmp_path):
    root = logging.getLogger()
    before = root.level, list(root.handlers)
    quantise(model(tmp_path / "model.onnx"), tmp_path / "int8.onnx", [photos(8, seed=1)])

    assert (root.level, root.handlers) == before
