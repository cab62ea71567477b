"""Quantise: the float32 ONNX model as one of 8-bit integers, its ranges read off real photos.

Static quantisation after training (Jacob et al., "Quantization and Training of Neural Networks for
Efficient Integer-Arithmetic-Only Inference", CVPR 2018, arXiv 1712.05877), by
onnxruntime.quantization, in QDQ form: pairs of QuantizeLinear and DequantizeLinear that an engine
fuses into integer kernels.

What is fixed here was chosen by measurement (docs/log.md): weights have a scale per output channel,
as depthwise convolutions have one filter a channel, of very different ranges; activations run from
the least to the largest value seen; the last layer and what follows it stay float32. Weights take 7
of the 8 bits: processors with AVX2 but without VNNI add two products in 16 bits, which full weights
would overflow in silence, so that a model judged on one machine answered otherwise on another.
"""

import contextlib
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import StocktakeError

if TYPE_CHECKING:
    from onnx import GraphProto

WEIGHED = ("Conv", "ConvTranspose", "Gemm", "MatMul")
"""Operations that take nearly all the time, and that have integer kernels."""


def quantise(model: Path, to: Path, batches: Iterable[NDArray[np.float32]]) -> None:
    """Write the int8 twin of a model; the file appears whole or not at all.

    Args:
        model: ONNX file, float32, with one input (B, 3, S, S).
        to: where the int8 model goes; takes and gives the same.
        batches: float32 (B, 3, S, S), normalised photos like those the model will see.

    Raises:
        StocktakeError: if the engine cannot quantise this model.
    """
    with TemporaryDirectory(dir=to.parent, prefix=f".{to.name}.") as folder:
        ready, rough = Path(folder) / "ready.onnx", Path(folder) / "int8.onnx"
        try:
            with _quiet():
                _make_ready(model, ready)
                _quantise(ready, rough, batches)
        except StocktakeError:  # of those who make the batches
            raise
        except Exception as err:  # the engine's own errors share no other base
            reason = " ".join(str(err).split())[:300] or type(err).__name__
            raise StocktakeError(
                f"{model.name} cannot be quantised ({reason}); export it as float32, or choose"
                " another backbone"
            ) from err
        rough.replace(to)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The quantiser warns through the root logger of layers it takes as a whole; keep errors."""
    root = logging.getLogger()
    level, handlers = root.level, list(root.handlers)
    root.setLevel(logging.ERROR)
    try:
        yield
    finally:
        root.setLevel(level)
        root.handlers[:] = handlers  # its first warning adds one


def quantised_ops(model: Path) -> int:
    """How many tensors of an ONNX file are rounded to integers on the way; 0 for float32."""
    import onnx

    return sum(node.op_type == "QuantizeLinear" for node in onnx.load(model).graph.node)


def _make_ready(model: Path, to: Path) -> None:
    """Constants folded, shapes known, every node with a name: what the quantiser wants."""
    import onnx
    from onnxruntime.quantization.shape_inference import quant_pre_process

    quant_pre_process(str(model), str(to), skip_symbolic_shape=True)
    graph = onnx.load(to)
    for place, node in enumerate(graph.graph.node):
        node.name = node.name or f"{node.op_type}-{place}"
    onnx.save(graph, to)


def _quantise(model: Path, to: Path, batches: Iterable[NDArray[np.float32]]) -> None:
    import onnx
    from onnxruntime.quantization import (
        CalibrationDataReader,
        CalibrationMethod,
        QuantFormat,
        QuantType,
        quantize_static,
    )

    graph = onnx.load(model).graph
    name = graph.input[0].name

    class Reader(CalibrationDataReader):  # type: ignore[misc]
        def __init__(self) -> None:
            self._feeds = _feeds(name, batches)

        def get_next(self) -> dict[str, NDArray[np.float32]] | None:
            return next(self._feeds, None)

    quantize_static(
        str(model),
        str(to),
        Reader(),
        quant_format=QuantFormat.QDQ,
        calibrate_method=CalibrationMethod.MinMax,
        activation_type=QuantType.QUInt8,
        weight_type=QuantType.QInt8,
        per_channel=True,
        reduce_range=True,
        nodes_to_exclude=last_nodes(graph),
    )
    if not quantised_ops(to):
        raise StocktakeError(
            f"nothing in {model.name} can be quantised, it has none of {', '.join(WEIGHED)} before"
            " its last layer; export it as float32"
        )


def _feeds(name: str, batches: Iterable[NDArray[Any]]) -> Iterator[dict[str, NDArray[np.float32]]]:
    for batch in batches:
        yield {name: np.asarray(batch, dtype=np.float32)}


def last_nodes(graph: "GraphProto") -> list[str]:
    """Names of the nodes with no weighed operation after them: the last layer and all behind it.

    They turn features into log-probabilities: little work, and there the rounding would not be
    averaged away any more.
    """
    takers: dict[str, list[int]] = {}
    for place, node in enumerate(graph.node):
        for name in node.input:
            takers.setdefault(name, []).append(place)
    weighed_after = [False] * len(graph.node)
    for place in reversed(range(len(graph.node))):  # nodes are in the order of computation
        after = {other for name in graph.node[place].output for other in takers.get(name, ())}
        weighed_after[place] = any(
            weighed_after[other] or graph.node[other].op_type in WEIGHED for other in after
        )
    pairs = zip(graph.node, weighed_after, strict=True)
    return [node.name for node, is_followed in pairs if not is_followed]
