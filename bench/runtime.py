"""How fast engines answer: ONNX Runtime, which serves, beside OpenVINO, on the same ONNX files.

float32 and int8 files are what `stocktake export` writes (weights random, int8 read off random
photos: speed does not depend on them); bfloat16 is OpenVINO's own, ONNX Runtime has none on x86.
Each engine runs in a process of its own, sides in alternation; a side's figure is the median over
rounds of the median call. OpenVINO needs an environment with `openvino` and `numpy`, which need not
hold stocktake: name its interpreter with `--python`. Without one, ONNX Runtime is timed alone.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

BACKBONES = ("resnet50", "tf_efficientnet_lite0", "mobilenetv4_conv_medium")
BATCHES = (1, 16)
THREADS = (1, 2)
SIDES = (
    ("onnxruntime", "float32"),
    ("onnxruntime", "int8"),
    ("openvino", "float32"),
    ("openvino", "bfloat16"),
    ("openvino", "int8"),
)
CALLS = 5
FITTED_ON = 4
"""Batches of random photos that int8 reads its ranges off."""


def written(backbone: str, folder: Path, side_px: int) -> dict[str, Path]:
    """The ONNX files of a counter on that backbone, by precision."""
    import torch

    from stocktake.serve.quantise import quantise
    from stocktake.vision import onnx
    from stocktake.vision.counter import make_backbone, make_counter

    torch.manual_seed(0)
    counter = make_counter(make_backbone(backbone, side_px=side_px), "softmax", max_count=5)
    files = {name: folder / f"{backbone}-{name}.onnx" for name in ("float32", "int8")}
    onnx.export_module(counter, files["float32"], side_px=side_px)
    rng = np.random.default_rng(0)
    photos = (photos_of(rng, 4, side_px) for _ in range(FITTED_ON))
    quantise(files["float32"], files["int8"], photos)
    return files


def photos_of(rng: np.random.Generator, batch: int, side_px: int) -> Any:
    """Random normalised photos, float32 (B, 3, S, S)."""
    return rng.standard_normal((batch, 3, side_px, side_px), dtype=np.float32)


def with_onnxruntime(file: str, threads: int) -> Callable[[Any], Any]:
    """A call that answers photos, with the options of `stocktake.serve.predictor`."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    session = ort.InferenceSession(file, options, providers=["CPUExecutionProvider"])
    return lambda photos: session.run(None, {"photos": photos})[0]


def with_openvino(file: str, threads: int, precision: str) -> Callable[[Any], Any]:
    """The same by OpenVINO, set up to answer one call at a time."""
    import openvino as ov

    config = {
        "PERFORMANCE_HINT": "LATENCY",
        "INFERENCE_NUM_THREADS": threads,
        "INFERENCE_PRECISION_HINT": "bf16" if precision == "bfloat16" else "f32",
    }
    compiled = ov.Core().compile_model(file, "CPU", config)
    request = compiled.create_infer_request()
    return lambda photos: request.infer({"photos": photos})[0]


def time_here(engine: str, precision: str, file: str, threads: int, side_px: int) -> None:
    """In a process of its own: print median milliseconds of a call, by batch, as JSON."""
    if engine == "onnxruntime":
        answer = with_onnxruntime(file, threads)
    else:
        answer = with_openvino(file, threads, precision)
    found = {}
    for batch in BATCHES:
        photos = photos_of(np.random.default_rng(0), batch, side_px)
        for _ in range(2):  # the first calls choose kernels and lay out weights
            answer(photos)
        times = []
        for _ in range(CALLS):
            began = time.perf_counter()
            answer(photos)
            times.append(1000 * (time.perf_counter() - began))
        found[batch] = statistics.median(times)
    print(json.dumps(found))


def timed(
    python: str, side: tuple[str, str], file: Path, threads: int, px: int
) -> dict[int, float]:
    """Milliseconds of a call by batch, from a fresh process."""
    command = [python, __file__, "--side", *side, str(file), str(threads), str(px)]
    env = os.environ | {"OMP_NUM_THREADS": str(threads)}
    done = subprocess.run(command, capture_output=True, text=True, check=False, env=env)
    if done.returncode:
        last = done.stderr.strip().splitlines()[-1:]
        raise SystemExit(f"{' '.join(side)} with {python} failed: {''.join(last)}")
    return {int(batch): ms for batch, ms in json.loads(done.stdout.splitlines()[-1]).items()}


def main() -> None:
    """Write the models, alternate the sides, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--python", default="", help="interpreter with openvino and numpy")
    parser.add_argument("--backbones", nargs="+", default=BACKBONES)
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", nargs=5, help=argparse.SUPPRESS)  # for the processes started here
    given = parser.parse_args()
    if given.side:
        engine, precision, file, threads, side_px = given.side
        return time_here(engine, precision, file, int(threads), int(side_px))
    pythons = {"onnxruntime": sys.executable, "openvino": given.python}
    sides = [side for side in SIDES if pythons[side[0]]]
    times: dict[tuple[Any, ...], list[float]] = defaultdict(list)
    with tempfile.TemporaryDirectory() as name:
        files = {b: written(b, Path(name), given.side_px) for b in given.backbones}
        for _ in range(given.rounds):
            for backbone, by_precision in files.items():
                for threads in THREADS:
                    for side in sides:
                        file = by_precision["int8" if side[1] == "int8" else "float32"]
                        python = pythons[side[0]]
                        found = timed(python, side, file, threads, given.side_px)
                        told = ", ".join(f"batch {b} {ms:.1f} ms" for b, ms in found.items())
                        print(backbone, threads, *side, told, file=sys.stderr, flush=True)
                        for batch, ms in found.items():
                            times[backbone, threads, batch, side].append(ms)
    print(f"{given.side_px} px, {given.rounds} rounds; ms a photo, and how many times as fast as")
    print("ONNX Runtime with float32 (median; least to most over rounds)\n")
    print(table(times, given.backbones, sides))
    return None


def table(times: dict[tuple[Any, ...], list[float]], backbones: Any, sides: Any) -> str:
    """The figures in Markdown, a line for each model, threads and batch."""
    heads = ["backbone", "threads", "batch", *(" ".join(side) for side in sides)]
    lines = [heads, ["---"] + ["--:"] * (len(heads) - 1)]
    for backbone in backbones:
        for threads in THREADS:
            for batch in BATCHES:
                base = times[backbone, threads, batch, SIDES[0]]
                cells = []
                for side in sides:
                    found = times[backbone, threads, batch, side]
                    # round by round: what else the machine does then weighs on both sides
                    ratios = [b / f for b, f in zip(base, found, strict=True)]
                    told = f"{statistics.median(found) / batch:.1f}"
                    if side != SIDES[0]:
                        told += f", {statistics.median(ratios):.2f}x"
                        told += f" ({min(ratios):.2f} to {max(ratios):.2f})"
                    cells.append(told)
                lines.append([backbone, str(threads), str(batch), *cells])
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


if __name__ == "__main__":
    main()
