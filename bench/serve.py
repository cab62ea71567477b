"""How fast a photo is answered over HTTP: ours beside TorchServe and sagemaker-pytorch-inference.

Claims: more answers a second than both at 1, 8 and 32 connections; less memory; sooner ready.
The same ResNet-50 with the same random weights, the same painted photos, as many worker processes
or threads on each side as there are cores, one thread each. `wrk` loads in a closed loop: every
connection sends its next photo when the last is answered. Sides take turns; a server is started
afresh for each turn, and the time from its start to its first answer is taken too. Peak memory is
the resident memory of the whole process tree.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import servers
from servers import Missing, Running, Side

MAX_COUNT = 4
SIDE_PX = 224
PHOTOS = 64

WRK = """
local photos = {}
for i = 0, COUNT - 1 do
  local file = io.open(string.format("FOLDER/%d.jpg", i), "rb")
  photos[i] = file:read("*a")
  file:close()
end
local sent = 0
request = function()
  sent = sent + 1
  return wrk.format("POST", nil, {["Content-Type"] = "image/jpeg"}, photos[sent % COUNT])
end
done = function(summary, latency, requests)
  local bad = summary.errors
  io.write(string.format(
    'told {"requests": %d, "us": %d, "bad": %d, "broken": %d, "p50": %d, "p99": %d, "max": %d}\\n',
    summary.requests, summary.duration, bad.status,
    bad.connect + bad.read + bad.write + bad.timeout,
    latency:percentile(50), latency:percentile(99), latency.max))
end
"""


def random_bundle(folder: Path) -> Path:
    """The bundle of a ResNet-50 that has learnt nothing, as `export` makes it; made once."""
    import torch

    from stocktake.runs.folder import RunFolder
    from stocktake.schema.cards import Calibration, ScoreCard
    from stocktake.schema.checkpoints import Checkpoint
    from stocktake.stages.export import ExportSettings, export
    from stocktake.vision.checkpoints import Keeper
    from stocktake.vision.counter import make_backbone, make_counter, preprocessing_of

    bundle = folder / "export" / "artifacts" / "bundle"
    if bundle.exists():
        return bundle
    shutil.rmtree(folder, ignore_errors=True)
    torch.manual_seed(0)
    backbone = make_backbone("resnet50", side_px=SIDE_PX)
    counter = make_counter(backbone, "softmax", max_count=MAX_COUNT)
    about = Checkpoint(
        epoch=1,
        step=1,
        backbone="resnet50",
        head="softmax",
        max_count=MAX_COUNT,
        preprocessing=preprocessing_of(backbone).to_dict(),
        weights_source="random",
    )

    def begun(name: str) -> RunFolder:
        return RunFolder.begin(
            folder / name, about={"stage": name, "fingerprint": name, "inputs": {}}, settings={}
        )

    trained, evaluated, exported = begun("train"), begun("evaluate"), begun("export")
    Keeper(trained.artifact("checkpoints")).save(counter, about, trainer={}, is_best=True)
    trained.close("done", result={})
    Calibration(
        temperature=1.0, coverage=0.9, threshold=0.9, fold="calib", n=100, max_count=MAX_COUNT
    ).write(evaluated.artifact("calibration.json"))
    _empty_scorecard(ScoreCard).write(evaluated.artifact("scorecard.json"))
    export(checkpoint=trained, calibration=evaluated, settings=ExportSettings(), run=exported)
    return bundle


def int8_of(bundle: Path, photos: list[bytes]) -> Path:
    """Its twin of 8-bit integers, ranges read off these photos; made once. For speed alone."""
    import dataclasses

    import numpy as np

    from stocktake.imaging.preprocess import Preprocessing, normalise, prepare
    from stocktake.schema import bundles
    from stocktake.schema.predictions import Prediction
    from stocktake.serve.predictor import Predictor
    from stocktake.serve.quantise import quantise

    twin = bundle.with_name("bundle-int8")
    if twin.exists():
        return twin
    rough = bundle.with_name(".bundle-int8")
    shutil.rmtree(rough, ignore_errors=True)
    shutil.copytree(bundle, rough)
    about = bundles.read(bundle)
    preprocessing = Preprocessing.from_dict(about.preprocessing)
    planes = normalise(np.stack([prepare(one, SIDE_PX) for one in photos]), preprocessing)
    quantise(bundle / bundles.MODEL, rough / bundles.MODEL, np.split(planes, len(planes) // 16))
    sha256 = bundles.hash_of(rough / bundles.MODEL)
    bundles.write(rough, dataclasses.replace(about, model_sha256=sha256, id=""))
    answer = Predictor.load(rough).predict([(rough / bundles.SELF_TEST_PHOTO).read_bytes()])[0]
    assert isinstance(answer, Prediction)
    bundles.write_json(rough, bundles.SELF_TEST_EXPECTED, answer.to_dict())
    rough.rename(twin)
    return twin


def _empty_scorecard(kind: Any) -> Any:
    """A scorecard that says how counts are decoded, and nothing else."""
    tables = ("metrics", "wilson", "decodings", "baselines", "reliability")
    return kind(
        fold="test",
        n=100,
        groups=100,
        max_count=MAX_COUNT,
        beyond_max_count=0,
        decode="mode",
        temperature=1.0,
        coverage=0.9,
        nll_floor=1e-6,
        floored=0,
        per_count=[],
        confusion=[],
        **{name: {} for name in tables},
    )


def torchscript(made: Path, to: Path) -> Path:
    """The model of `random_bundle` as TorchScript, for the opponents, with its preprocessing."""
    import torch

    from stocktake.schema import checkpoints as schema
    from stocktake.vision import checkpoints

    if not (to / "model.pt").exists():
        to.mkdir(parents=True, exist_ok=True)
        best = schema.best(made / "train" / "artifacts" / "checkpoints")
        counter = checkpoints.load(best).eval()
        about = schema.read(best).preprocessing
        (to / "preprocessing.json").write_text(json.dumps(about))
        with torch.inference_mode():
            traced = torch.jit.trace(counter, torch.zeros(1, 3, SIDE_PX, SIDE_PX))
        traced.save(str(to / "model.pt"))
    return to


def photos_in(folder: Path, number: int) -> list[bytes]:
    """Painted photos as JPEGs, also as 0.jpg, 1.jpg, ... in a folder."""
    from stocktake.stages.export import painted

    folder.mkdir(parents=True, exist_ok=True)
    photos = painted(number, seed=11)
    for i, photo in enumerate(photos):
        (folder / f"{i}.jpg").write_bytes(photo)
    return photos


def load(server: Running, script: Path, *, connections: int, seconds: int) -> dict[str, float]:
    """What wrk tells of one load, on a server that has nothing left to do.

    wrk leaves as many requests behind as it had connections; the next load is not to wait for them.
    """
    servers.wait_until_idle(server.process.pid)
    command = [
        *("wrk", "-t1", f"-c{connections}", f"-d{seconds}s", "--timeout", "60s"),
        *("-s", str(script), server.url),
    ]
    out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
    told = json.loads(out.partition("told ")[2].splitlines()[0])
    answered = told["requests"] - told["bad"]
    return {
        "rate": answered / told["us"] * 1e6,
        "p50_ms": told["p50"] / 1000,
        "p99_ms": told["p99"] / 1000,
        "bad": told["bad"],
        "broken": told["broken"],
    }


def sides_of(given: argparse.Namespace, work: Path) -> Iterator[Side]:
    """Ours, one per bundle, then the opponents that can be had."""
    from stocktake.schema import bundles

    made = work / f"random-{bundles.FORMAT.replace('/', '-')}"  # a kept one may be of another day
    random = random_bundle(made)
    twin = int8_of(random, photos_in(work / "photos", PHOTOS))
    for word in given.bundle or [f"float32={random}", f"int8={twin}"]:
        name, _, folder = word.partition("=")
        yield servers.ours(
            f"stocktake {name}", Path(folder).resolve(), workers=given.workers, sets=given.set
        )
    if given.alone:
        return
    try:
        programs = servers.environment(work)
    except Missing as err:
        print(f"opponents left out: {err}\n")
        return
    model = torchscript(made, work / "model")
    yield servers.torchserve(programs, model, work, workers=given.workers)
    yield servers.sagemaker(programs, model, work, workers=given.workers)


def measure(given: argparse.Namespace, work: Path) -> dict[str, list[dict[str, Any]]]:
    """Per side, what each turn found."""
    photos = photos_in(work / "photos", PHOTOS)
    script = work / "wrk.lua"
    script.write_text(WRK.replace("FOLDER", str(work / "photos")).replace("COUNT", str(PHOTOS)))
    sides = list(sides_of(given, work))
    found: dict[str, list[dict[str, Any]]] = {side.name: [] for side in sides}
    for turn in range(given.rounds):
        for side in sides:
            log = work / "logs" / f"{side.name.replace(' ', '-')}-{turn}.log"
            try:
                with servers.running(side, photos[0], log=log) as server:
                    load(server, script, connections=given.workers, seconds=2)  # warm every worker
                    loads = {
                        number: load(server, script, connections=number, seconds=given.seconds)
                        for number in given.connections
                    }
                row = {"first_answer_s": server.first_answer_s, "peak_mb": server.peak_mb}
                found[side.name].append(row | {"loads": loads})
            except Missing as err:
                print(f"{side.name} left out: {err}; its log: {log}\n")
    return found


def show(found: dict[str, list[dict[str, Any]]], connections: list[int]) -> None:
    """Print the tables: medians over the turns."""
    print("| | connections | answers/s | p50 ms | p99 ms | not 200 | broken |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for number in connections:
        for name, turns in found.items():
            loads = [turn["loads"][number] for turn in turns]
            if loads:
                rate, p50, p99 = (
                    statistics.median(one[key] for one in loads)
                    for key in ("rate", "p50_ms", "p99_ms")
                )
                bad, broken = (sum(one[key] for one in loads) for key in ("bad", "broken"))
                print(
                    f"| {name} | {number} | {rate:.1f} | {p50:.0f} | {p99:.0f} | {bad} | {broken} |"
                )
    print("\n| | start to first answer s | peak memory MB |\n|---|--:|--:|")
    for name, turns in found.items():
        if turns:
            first = statistics.median(turn["first_answer_s"] for turn in turns)
            print(f"| {name} | {first:.1f} | {max(turn['peak_mb'] for turn in turns):.0f} |")


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--bundle", action="append", metavar="NAME=FOLDER", help="ours; else a random ResNet-50"
    )
    parser.add_argument("--work", type=Path, help="folder for opponents and models; kept")
    parser.add_argument("--seconds", type=int, default=30, help="length of each load")
    parser.add_argument("--rounds", type=int, default=3, help="turns of each side")
    parser.add_argument("--connections", type=int, nargs="+", default=[1, 8, 32])
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--set", action="append", default=[], help="a setting for ours")
    parser.add_argument("--alone", action="store_true", help="no opponents")
    given = parser.parse_args()
    if shutil.which("wrk") is None:
        parser.error("wrk is missing; on Debian: apt-get install wrk")
    with tempfile.TemporaryDirectory() as temporary:
        work = (given.work or Path(temporary)).resolve()
        work.mkdir(parents=True, exist_ok=True)
        found = measure(given, work)
    before = ", ".join(f"{one:.1f}" for one in os.getloadavg())
    print(
        f"{os.cpu_count()} cores, {given.workers} workers a side, {given.seconds} s a load,"
        f" {given.rounds} turns each; load averages now: {before}\n"
    )
    show(found, given.connections)


if __name__ == "__main__":
    main()
