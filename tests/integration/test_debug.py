"""A real training on painted photos, watched: what is recorded, judged, reported; live as well."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from stocktake.pages import report
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job, Resources
from stocktake.stages import ingest, paint, split, worker

SETTINGS: dict[str, Any] = {
    "backbone": "test_efficientnet",
    "weights": "none",
    "side_px": 32,
    "epochs": 3,
    "batch_size": 8,
    "optimizer": {"name": "adamw", "lr": 3e-3},
    "threads": 1,
    "record_every": 4,
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run with painted photos and a split."""
    folder = tmp_path_factory.mktemp("runs") / "demo"
    runs = {
        name: RunFolder.begin(folder / name, about={"stage": name}, settings={})
        for name in ("paint", "ingest", "split")
    }
    paint.paint(settings=paint.PaintSettings(photos=90, seed=1), run=runs["paint"])
    source = str(runs["paint"].path / "artifacts" / "bucket")
    taken = ingest.IngestSettings(source=source)
    seen = {"seen": ingest.outside(taken).what}
    made = ingest.ingest(settings=taken, run=runs["ingest"], **seen)
    runs["ingest"].close("done", result=vars_of(made))
    shares = split.SplitSettings(kind="balanced", seed=1)
    made = split.split(photos=runs["ingest"], settings=shares, run=runs["split"])
    runs["split"].close("done", result=vars_of(made))
    return folder


def vars_of(made: Any) -> Any:
    import msgspec

    return msgspec.to_builtins(made)


def job(data: Path, output: Path, **change: Any) -> Job:
    settings = SETTINGS | change
    return Job(
        stage="train",
        settings=settings,
        inputs={"photos": str(data / "ingest"), "split": str(data / "split")},
        output=str(output),
        resources=Resources(processes=settings.get("processes", 1)),
    )


def said(*words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stocktake", *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_a_training_is_recorded_judged_and_reported(data, tmp_path):
    strict = ({"name": "VanishingGradient", "threshold": 1e9}, "Overtraining", "ProfilerReport")
    run = worker.run_job(job(data, tmp_path / "demo" / "train", rules=strict))
    rules = run.path / "rule-output"

    assert {path.stem for path in rules.glob("*.json")} == {
        "VanishingGradient",
        "Overtraining",
        "ProfilerReport",
    }
    warnings = [line["message"] for line in run.lines() if line["level"] == "warning"]
    assert [text for text in warnings if text.startswith("VanishingGradient at train step 0")]
    assert (rules / "ProfilerReport" / "profiler-report.html").exists()
    page = report.write_report(tmp_path / "demo").read_text()
    assert "VanishingGradient" in page and "at least 1e+09 was expected" in page

    found = said("debug", tmp_path / "demo", "--json")
    status = {
        row["RuleConfigurationName"]: row["RuleEvaluationStatus"]
        for row in json.loads(found.stdout)
    }
    kept = json.loads((rules / "VanishingGradient.json").read_text())
    assert status["VanishingGradient"] == kept["RuleEvaluationStatus"] == "IssuesFound"
    assert said("profile", tmp_path / "demo").returncode == 0


def test_what_watches_changes_no_weight_and_makes_no_finished_run_anew(data, tmp_path):
    watched, alone = tmp_path / "watched", tmp_path / "alone"
    worker.run_job(job(data, watched))
    worker.run_job(job(data, alone, record_every=0, profile=False, rules=()))
    weights = [
        {p.name: p.read_bytes() for p in (out / "artifacts").rglob("*.safetensors")}
        for out in (watched, alone)
    ]

    assert weights[0] == weights[1]
    assert worker.prepare(job(data, watched, record_every=7, rules=("Overfit",))).is_done()
    assert not worker.prepare(job(data, watched, on_issue="stop")).is_done()


def test_an_issue_stops_a_training_that_is_done_then_and_keeps_its_best(data, tmp_path):
    strict = ({"name": "VanishingGradient", "threshold": 1e9},)
    run = worker.run_job(job(data, tmp_path / "train", rules=strict, on_issue="stop", epochs=9))

    assert run.status == "done"
    assert run.result()["epochs"] == 1 and run.result()["best_epoch"] == 1
    assert (run.path / "artifacts" / "checkpoints" / "best").exists()


def test_several_processes_record_each_and_the_first_one_judges(data, tmp_path):
    file = tmp_path / "job.json"
    output = tmp_path / "train"
    file.write_text(worker.to_json(job(data, output, processes=2, norms="kept", epochs=2)))
    words = [sys.executable, "-m", "stocktake.stages.worker", str(file)]
    subprocess.run(words, env=os.environ | {"OMP_NUM_THREADS": "1"}, check=True)
    record = output / "debug-output"

    assert list(record.glob("part-*-w0.parquet")) and list(record.glob("part-*-w1.parquet"))
    assert json.loads((record / "end-w1.json").read_text())["status"] == "done"
    verdict = json.loads((output / "rule-output" / "Overfit.json").read_text())
    processes, epochs = 2, 2
    assert verdict["steps"] > processes * epochs  # training steps beside the validations


def test_a_growing_record_is_judged_from_outside(data, tmp_path):
    output = tmp_path / "demo" / "train"
    file = tmp_path / "job.json"
    strict = ({"name": "VanishingGradient", "threshold": 1e9},)
    file.write_text(worker.to_json(job(data, output, rules=strict, epochs=12)))
    training = subprocess.Popen(
        [sys.executable, "-m", "stocktake.stages.worker", str(file)],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )
    try:
        while not (output / "debug-output").exists() and training.poll() is None:
            time.sleep(0.05)
        found = said("debug", tmp_path / "demo", "--watch")
    finally:
        training.wait()

    assert training.returncode == 0 and found.returncode == 0
    assert "train step 0: the mean absolute gradient" in found.stderr
    assert "IssuesFound" in found.stdout
