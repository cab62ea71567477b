"""What a recorder costs: a ResNet-18 in an ordinary loop, without it and with it.

Claims: at the defaults, every 100 steps, about 1 % of CPU time or less; and what everything at
every step costs. Each side runs in a process of its own, in alternation; times are of the steps
after the first few, data is random and made beforehand. Ratios are of CPU time, the writer's thread
counted in: that of a clock says little where other processes share the cores.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

WARM_UP = 3
SIDES = ("without", "defaults every 100", "all every step")


def one_side(given: argparse.Namespace) -> dict[str, float]:
    """Steps of one side, and what it wrote."""
    import torch

    from stocktake.debugger.capture import Recorder
    from stocktake.debugger.selection import KNOWN
    from stocktake.vision.backbones.timm_models import timm_library

    torch.manual_seed(0)
    torch.set_num_threads(given.threads)
    model = timm_library().create_model("resnet18", num_classes=6).to(given.device)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    loss_fn = torch.nn.CrossEntropyLoss()
    shape = (given.batch, 3, given.side_px, given.side_px)
    photos = torch.randn(shape, device=given.device)
    counts = torch.arange(given.batch, device=given.device) % 6
    folder = Path(tempfile.mkdtemp())
    recorder = None
    if given.side != "without":
        settings: dict[str, Any] = {"every": {"train": 100}}
        if given.side.startswith("all"):
            settings = {"every": {"train": 1}, "collections": tuple(KNOWN)}
        recorder = Recorder(folder, **settings)
        recorder.watch(model, optimizer=optimizer, loss=loss_fn)
    times = []
    for step in range(WARM_UP + given.steps):
        if step == WARM_UP:
            cpu = time.process_time()
        began = time.perf_counter()
        optimizer.zero_grad()
        loss_fn(model(photos), counts).backward()
        optimizer.step()
        if given.device != "cpu":
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    cpu_ms = 1000 * (time.process_time() - cpu) / given.steps
    began = time.perf_counter()
    told = {"cpu_ms": cpu_ms, "median_ms": 1000 * statistics.median(times[WARM_UP:])}
    told["mean_ms"] = 1000 * statistics.fmean(times[WARM_UP:])
    if recorder is not None:
        recorder.close()
        told["close_ms"] = 1000 * (time.perf_counter() - began)
        told["rows"] = json.loads((folder / "end.json").read_text())["rows"]
        told["parts"] = len(list(folder.glob("part-*")))
        told["bytes"] = sum(path.stat().st_size for path in folder.iterdir())
    return told


def in_a_process(side: str, given: argparse.Namespace) -> dict[str, float]:
    """The same in a process of its own."""
    command = [sys.executable, __file__, "--side", side]
    for name in ("steps", "batch", "side_px", "threads", "device"):
        command += [f"--{name}", str(getattr(given, name))]
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    return json.loads(done.stdout.splitlines()[-1])


def main() -> None:
    """Every side in alternation; a table of the medians over the rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--side", choices=SIDES)
    parser.add_argument("--steps", type=int, default=200, help="of which two are saved at 100")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--batch", type=int, default=16)
    parser.add_argument("--side_px", type=int, default=64)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--device", default="cpu")
    given = parser.parse_args()
    if given.side:
        print(json.dumps(one_side(given)))
        return
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    for _ in range(given.rounds):
        for side in SIDES:
            found[side].append(in_a_process(side, given))
            print(side, json.dumps(found[side][-1]), file=sys.stderr)
    base = [one["cpu_ms"] for one in found["without"]]
    print("| side | median ms | mean ms | CPU ms | of without, each round | rows | parts | MB |")
    print("|---|---|---|---|---|---|---|---|")
    for side, rounds in found.items():
        ratios = [f"{one['cpu_ms'] / b:.3f}" for one, b in zip(rounds, base, strict=True)]
        median = {name: statistics.median(one.get(name, 0) for one in rounds) for name in rounds[0]}
        cells = [side, *(f"{median[name]:.1f}" for name in ("median_ms", "mean_ms", "cpu_ms"))]
        cells += [", ".join(ratios)]
        cells += [f"{median.get('rows', 0):.0f}", f"{median.get('parts', 0):.0f}"]
        print("| " + " | ".join([*cells, f"{median.get('bytes', 0) / 1e6:.2f}"]) + " |")


if __name__ == "__main__":
    main()
