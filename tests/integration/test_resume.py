"""Training killed with kill -9 at any step ends as an undisturbed one, in weights and figures."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from random import Random

import pytest
import torch
from safetensors.torch import load_file

from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job, Resources
from stocktake.stages import worker
from stocktake.testing import samples

PHOTOS = 120
SETTINGS = {
    "backbone": {"name": "test_efficientnet", "drop_rate": 0.2},
    "weights": "none",
    "side_px": 32,
    "epochs": 5,
    "batch_size": 6,
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "clip_norm": 1.0,
    "seed": 3,
    "threads": 1,
}
CLOCKED = {"seconds", "wait_s", "photos_per_s", "took_s", "estimated_s", "peak_memory_gb"}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("data")
    photos = samples.photos_run(folder / "ingest", photos=PHOTOS)
    split = samples.split_run(folder / "split", photos=PHOTOS)
    return {"photos": str(photos.path), "split": str(split.path)}


def start(
    inputs: dict[str, str], output: Path, *launcher: str, **change: object
) -> "subprocess.Popen[bytes]":
    settings = SETTINGS | change
    job = Job(
        stage="train",
        settings=settings,
        inputs=inputs,
        output=str(output),
        resources=Resources(processes=settings.get("processes", 1)),
    )
    file = output.with_name(f"{output.name}.json")
    file.write_text(worker.to_json(job))
    command = [sys.executable, *launcher, "-m", "stocktake.stages.worker", str(file)]
    return subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})


def steps_of(run: RunFolder) -> int:
    progress = run.how_far() if run.exists() else None
    return progress.done if progress else 0


def what_came_of(output: Path) -> tuple[dict[str, bytes], list[tuple[int, str, float]], object]:
    """Bytes of the weights kept, figures of every epoch, and the result, without clocks."""
    run = RunFolder(output)
    folder = run.artifact("checkpoints")
    kept = {str(p.relative_to(folder)): p.read_bytes() for p in folder.rglob("*.safetensors")}
    figures = [
        (r["step"], r["name"], r["value"]) for r in run.metrics() if r["name"] not in CLOCKED
    ]
    result = {key: value for key, value in run.result().items() if key not in CLOCKED}
    return kept | {"best": (folder / "best").read_bytes()}, figures, result


def test_a_training_killed_again_and_again_ends_as_an_undisturbed_one(inputs, tmp_path):
    assert start(inputs, tmp_path / "calm").wait() == 0
    rng, output = Random(5), tmp_path / "killed"
    kills = 0
    for _ in range(3):
        process, before = start(inputs, output), steps_of(RunFolder(output))
        until = rng.randrange(2, 30)
        while process.poll() is None and not 0 < abs(steps_of(RunFolder(output)) - before) >= until:
            time.sleep(0.005)
        if process.poll() is None:
            time.sleep(rng.random() * 0.05)
            process.send_signal(signal.SIGKILL)
            kills += process.wait() == -signal.SIGKILL
    assert start(inputs, output).wait() == 0

    assert kills >= 2
    assert what_came_of(output) == what_came_of(tmp_path / "calm")
    assert any("going on after epoch" in line["message"] for line in RunFolder(output).lines())


def test_a_training_asked_to_stop_saves_the_step_and_says_so(inputs, tmp_path):
    averaged = {"averaging": 0.9, "mixup": 0.3, "epochs": 60}
    output, ends = tmp_path / "stopped", []
    for _ in range(2):
        process = start(inputs, output, **averaged)
        before = steps_of(RunFolder(output))
        while process.poll() is None and abs(steps_of(RunFolder(output)) - before) < 9:
            time.sleep(0.005)
        process.send_signal(signal.SIGTERM)
        ends.append(process.wait())
        assert RunFolder(output).status == "stopped"
        assert list(output.glob("artifacts/checkpoints/step-*"))
    assert ends == [worker.STOPPED, worker.STOPPED]
    assert start(inputs, output, **averaged).wait() == 0
    assert start(inputs, tmp_path / "calm", **averaged).wait() == 0

    assert what_came_of(output) == what_came_of(tmp_path / "calm")
    assert not list(output.glob("artifacts/checkpoints/step-*"))


PLAIN = {"backbone": "test_efficientnet", "norms": "kept", "averaging": 0.9, "epochs": 3}
"""Without dropout, which each process draws for itself."""


def assert_alike(one: RunFolder, two: RunFolder) -> None:
    name = f"epoch-{one.result()['best_epoch']:04d}/weights.safetensors"
    states = [load_file(run.artifact("checkpoints") / name) for run in (one, two)]
    for key, value in states[0].items():
        assert torch.allclose(value, states[1][key], atol=1e-5), key
    for mine, theirs in zip(one.metrics(), two.metrics(), strict=True):
        assert mine["name"] == theirs["name"] and mine["step"] == theirs["step"]
        assert mine["name"] in CLOCKED or abs(mine["value"] - theirs["value"]) < 1e-5


def test_two_processes_train_what_one_does(inputs, tmp_path):
    assert start(inputs, tmp_path / "one", **PLAIN).wait() == 0
    fellows = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    assert start(inputs, tmp_path / "two", *fellows, **PLAIN).wait() == 0

    assert_alike(RunFolder(tmp_path / "one"), RunFolder(tmp_path / "two"))


def test_a_worker_starts_its_fellows_and_stops_them_in_order(inputs, tmp_path):
    change = PLAIN | {"epochs": 12, "processes": 2}
    output = tmp_path / "two"
    process = start(inputs, output, **change)
    while process.poll() is None and steps_of(RunFolder(output)) < 20:
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == worker.STOPPED
    assert RunFolder(output).status == "stopped"
    assert list(output.glob("artifacts/checkpoints/step-*"))
    assert start(inputs, output, **change).wait() == 0
    assert start(inputs, tmp_path / "calm", **change).wait() == 0

    assert_alike(RunFolder(tmp_path / "calm"), RunFolder(output))


def test_other_settings_begin_anew(inputs, tmp_path):
    output = tmp_path / "train"
    process = start(inputs, output, epochs=50)
    while process.poll() is None and not list(output.glob("artifacts/checkpoints/epoch-*")):
        time.sleep(0.005)
    process.send_signal(signal.SIGTERM)
    assert process.wait() == worker.STOPPED
    assert RunFolder(output).status == "stopped"

    assert start(inputs, output, epochs=1).wait() == 0
    assert RunFolder(output).result()["epochs"] == 1
    assert (tmp_path / "train.1").is_dir()
