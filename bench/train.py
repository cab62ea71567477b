"""How fast a training step is: ours beside the usual torchvision loop, same model and batch.

Claims: at least 1.3 times as many photos a second on a CPU; less than 3 % of the time spent in
waiting for photos.
The usual loop: ImageFolder, PIL transforms, a DataLoader of two worker processes, float32, the
model as timm makes it. Ours: `fit` on shards shrunk at ingest, with each batch's norms and with
kept ones. Every side runs in a process of its own, in alternation; times are of the steps after
the first few, photos read and augmented in both.
"""

import argparse
import contextlib
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from loader import image_folder, ingested

BATCH = 32
WARM_UP = 3
SIDES = {
    "usual": {},
    "ours, norms of each batch": {"norms": "batch"},
    "ours, norms kept": {"norms": "kept"},
    "ours, norms kept, bfloat16": {"norms": "kept", "precision": "bfloat16"},
}


def usual(given: argparse.Namespace) -> dict[str, float]:
    """The loop of the tutorials."""
    import torch
    from torch import nn

    from stocktake.vision.backbones.timm_models import timm_library

    loader = image_folder(given.source, given.folder / "classes")
    model = timm_library().create_model(given.backbone, num_classes=6)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-3)
    criterion = nn.CrossEntropyLoss()
    model.train()
    times, waits, ready = [], [], time.perf_counter()
    for photos, classes in loader:
        began = time.perf_counter()
        optimizer.zero_grad()
        loss = criterion(model(photos), classes.clamp_max(5))
        loss.backward()
        optimizer.step()
        loss.item()
        ended = time.perf_counter()
        times.append(ended - ready)
        waits.append(began - ready)
        ready = ended
        if len(times) == WARM_UP + given.steps:
            break
    return told(times[WARM_UP:], waits[WARM_UP:])


def ours(given: argparse.Namespace, change: dict[str, Any]) -> dict[str, float]:
    """One epoch of `fit`, timed by a watcher."""
    from stocktake.runs.folder import RunFolder
    from stocktake.stages import split as splitting
    from stocktake.stages import trainer
    from stocktake.stages.train import TrainSettings
    from stocktake.vision import fitting

    photos = RunFolder.open(given.folder / "small" / "ingest")
    run = RunFolder.begin(given.folder / "split", about={"stage": "split"}, settings={})
    splitting.split(photos=photos, settings=splitting.SplitSettings(), run=run)
    settings = TrainSettings(
        backbone=given.backbone,
        weights="none",
        side_px=given.side_px,
        augment="report",
        batch_size=BATCH,
        max_count=5,
        epochs=9,
        threads=given.threads,
        **change,
    )

    class Clock:
        """Watcher: when steps end, and when photos were waited for."""

        def __init__(self) -> None:
            self.ends: list[float] = []
            self.waits: list[float] = []
            self._asked = 0.0

        def start(self, *_: Any) -> None:
            self._asked = time.perf_counter()

        def phase(self, step: int, name: str) -> None:
            now = time.perf_counter()
            if name == "data":
                self._asked = now
            elif name == "forward":
                self.waits.append(now - self._asked)

        def step_end(self, step: int, loss: float) -> None:
            self.ends.append(time.perf_counter())

        def epoch_end(self, figures: Any) -> None:
            pass

        def stop(self) -> None:
            pass

    clock = Clock()
    data = trainer.data_of(photos, run, settings, None)
    with trainer.begun(settings, data, run, is_silent=True) as ready:
        plan = vars(ready.plan) | {"should_stop": lambda: len(clock.ends) > WARM_UP + given.steps}
        with contextlib.suppress(KeyboardInterrupt):
            fitting.fit(
                ready.counter,
                fitting.Plan(**plan),
                train=ready.train,
                val=ready.val,
                save=Unsaved(),
                watchers=[clock],
            )
    times = [b - a for a, b in zip(clock.ends, clock.ends[1:], strict=False)]
    return told(times[WARM_UP:], clock.waits[WARM_UP + 1 :])


class Unsaved:
    """Keeps nothing."""

    def epoch(self, *_: Any) -> None:
        """Nothing is kept."""

    def midway(self, *_: Any) -> None:
        """Nothing is kept."""


def told(times: list[float], waits: list[float]) -> dict[str, float]:
    """What a side says of itself."""
    return {
        "photos_per_s": BATCH / statistics.median(times),
        "wait": sum(waits) / sum(times),
        "peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024 / 1e6,
        "steps": len(times),
    }


def main() -> None:
    """Time every side, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, required=True, help="bin-images/ and metadata/")
    parser.add_argument("--backbone", default="tf_efficientnet_lite0")
    parser.add_argument("--side-px", type=int, default=224)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=12)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--side", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        change = SIDES[given.side]
        print(json.dumps(ours(given, change) if change else usual(given)))
        return
    with tempfile.TemporaryDirectory() as folder:
        given.folder = Path(folder)
        ingested(given.source, given.folder / "small", given.side_px)
        print(table(race(given)))


def race(given: argparse.Namespace) -> dict[str, list[dict[str, float]]]:
    """What every side said of itself, round after round."""
    found: dict[str, list[dict[str, float]]] = {side: [] for side in SIDES}
    words = ["--source", str(given.source), "--backbone", given.backbone]
    words += ["--side-px", str(given.side_px), "--steps", str(given.steps)]
    words += ["--folder", str(given.folder), "--threads", str(given.threads)]
    for _ in range(given.rounds):
        for side in SIDES:
            command = [sys.executable, __file__, *words, "--side", side]
            made = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(json.loads(made.stdout.strip().splitlines()[-1]))
            print(side, found[side][-1], file=sys.stderr, flush=True)
    return found


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """The sides with their medians, least and most."""
    first = statistics.median(one["photos_per_s"] for one in found["usual"])
    lines = [
        "| loop | photos/s (least to most) | times the usual | waiting | peak MB |",
        "|---|--:|--:|--:|--:|",
    ]
    for side, rounds in found.items():
        rates = sorted(one["photos_per_s"] for one in rounds)
        wait = statistics.median(one["wait"] for one in rounds)
        peak = max(one["peak_mb"] for one in rounds)
        rate = statistics.median(rates)
        lines.append(
            f"| {side} | {rate:.1f} ({rates[0]:.1f} to {rates[-1]:.1f}) | {rate / first:.2f} |"
            f" {100 * wait:.1f} % | {peak:.0f} |"
        )
    return "\n".join(lines)


if __name__ == "__main__":
    main()
