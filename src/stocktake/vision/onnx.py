"""ONNX: a checkpoint as one file that runs without torch."""

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import nn

from stocktake.errors import DataError
from stocktake.vision import checkpoints

INPUT = "photos"
OUTPUT = "log_probs"


def export_onnx(checkpoint: Path, to: Path) -> None:
    """Write the counter of a checkpoint as ONNX; the file appears whole or not at all.

    Input "photos" float32 (B, 3, S, S), normalised; output "log_probs" float32 (B, K); B is free.

    Raises:
        DataError: if the checkpoint cannot be loaded, or ONNX has no word for one of its
            operations.
    """
    side_px = int(checkpoints.describe(checkpoint).preprocessing["side_px"])
    export_module(checkpoints.load(checkpoint), to, side_px=side_px)


def export_module(counter: nn.Module, to: Path, *, side_px: int) -> None:
    """Write any module from photos (B, 3, S, S) to log_probs (B, K) as ONNX, in evaluation mode.

    Raises:
        DataError: if ONNX has no word for one of its operations.
    """
    plain = counter.eval().to(memory_format=torch.contiguous_format)  # type: ignore[call-overload]
    example = torch.zeros(2, 3, side_px, side_px)  # two: a batch of one would be taken for fixed
    rough = to.with_name(f".{to.name}.part")
    try:
        with _quiet():
            program = torch.onnx.export(
                plain,
                (example,),
                dynamo=True,
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("batch", min=1)},),
                verbose=False,
            )
            assert program is not None
            program.save(rough, external_data=False)
    except torch.onnx.errors.OnnxExporterError as err:
        rough.unlink(missing_ok=True)
        reason = str(err).strip().splitlines()[0]
        raise DataError(f"{to.name} cannot be made, ONNX export failed: {reason}") from err
    rough.replace(to)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """The exporter prints its steps and warns of its own insides; keep errors only."""
    loggers = [logging.getLogger(name) for name in ("torch.onnx", "onnxscript", "onnx_ir")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
