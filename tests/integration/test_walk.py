"""The whole way on painted bins, as `stocktake run` walks it: photos in, counts over HTTP out."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stocktake.runs.folder import RunFolder
from stocktake.stages import table

EXAMPLES = Path(__file__).parents[2] / "examples"
SMALL = [
    "paint.photos=240",
    "tune.trials=2",
    'train.backbone="test_resnet"',
    'train.weights="none"',
    "train.side_px=64",
    "train.epochs=1",
    "evaluate.resamples=200",
    "serve.check_photos=3",
]
WALKED = [name for name in table.names() if name != "predict"]


def stocktake(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "stocktake", *words]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True)


def walk(folder: Path, *sets: str) -> subprocess.CompletedProcess[str]:
    flags = [part for word in (*SMALL, *sets) for part in ("--set", word)]
    return stocktake(folder, "run", str(EXAMPLES / "demo.toml"), "--json", *flags)


@pytest.fixture(scope="module")
def walked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the demo, made small, was run once."""
    folder = tmp_path_factory.mktemp("walk")
    out = walk(folder)
    assert out.returncode == 0, out.stderr
    (folder / "told.json").write_text(out.stdout)
    return folder


def test_every_stage_of_the_file_is_done(walked):
    told = json.loads((walked / "told.json").read_text())

    assert list(told["stages"]) == WALKED
    assert {RunFolder(walked / "runs/demo" / name).status for name in WALKED} == {"done"}


def test_no_photo_is_lost_between_the_stages(walked):
    stages = json.loads((walked / "told.json").read_text())["stages"]
    folds = stages["split"]["photos_by_fold"]

    assert stages["paint"]["photos"] == stages["ingest"]["photos"] == sum(folds.values()) == 240
    assert stages["score"]["photos"] == sum(folds[name] for name in ("val", "calib", "test"))
    assert stages["evaluate"]["n"] == folds["test"]


def test_what_tuning_found_is_what_training_used(walked):
    best = json.loads((walked / "told.json").read_text())["stages"]["tune"]["best_params"]
    used = RunFolder(walked / "runs/demo/train").settings()

    assert used["optimizer"]["lr"] == best["train.optimizer.lr"]
    assert used["epochs"] == 1


def test_answers_over_http_are_those_of_the_scores(walked):
    """Train, score and serve share one preprocessing: the served count is the scored one."""
    from stocktake.schema import scores
    from stocktake.store.tables import read_table

    rows = read_table(walked / "runs/demo/score/artifacts/scores.parquet", format=scores.FORMAT)
    likeliest = scores.matrix(rows).argmax(axis=1)
    scored = dict(zip(rows["photo_id"].to_pylist(), likeliest.tolist(), strict=True))
    answers = json.loads((walked / "told.json").read_text())["stages"]["serve"]["answers"]

    assert len(answers) == 3
    for answer in answers:
        assert answer["count"] == scored[answer["photo_id"]]
        assert answer["low"] <= answer["count"] <= answer["high"]
        assert sum(answer["probabilities"]) == pytest.approx(1, abs=1e-4)


def test_the_server_of_the_check_is_stopped(walked):
    port = json.loads((walked / "told.json").read_text())["stages"]["serve"]["port"]
    listening = Path("/proc/net/tcp").read_text()

    assert f":{port:04X} 00000000:0000 0A" not in listening


def test_the_report_tells_of_every_stage(walked):
    page = (walked / "runs/demo/report.html").read_text()

    assert "data:image/jpeg" in page and "<svg" in page
    assert all(name in page for name in WALKED)


def test_a_second_run_does_nothing_again(walked):
    before = {name: RunFolder(walked / "runs/demo" / name).info() for name in WALKED}
    out = walk(walked)

    assert out.returncode == 0, out.stderr
    assert [line for line in out.stderr.splitlines() if "is done already" not in line] == []
    assert {name: RunFolder(walked / "runs/demo" / name).info() for name in WALKED} == before


def test_a_change_is_made_from_where_it_matters(walked):
    out = walk(walked, "evaluate.coverage=0.8")
    said = {line.split()[0]: line for line in out.stderr.splitlines()}

    assert out.returncode == 0, out.stderr
    assert "is done already" in said["score"] and "done in" in said["evaluate"]
    assert (walked / "runs/demo/evaluate.1/run.json").exists()


def test_counts_of_any_folder_come_without_torch(walked):
    source = "predict.source=runs/demo/paint/artifacts/bucket/bin-images"
    words = ["--set", "name=demo", "--set", source, "--set", "predict.limit=5", "--json"]
    blind = "import sys; sys.modules['torch'] = None; from stocktake.cli.main import entry; entry()"
    out = subprocess.run(
        [sys.executable, "-c", blind, "predict", *words],
        cwd=walked, capture_output=True, text=True,
    )  # fmt: skip

    assert out.returncode == 0, out.stderr
    assert json.loads(out.stdout)["photos"] == 5


def test_a_walk_stopped_by_ctrl_c_goes_on_where_it_was(tmp_path):
    flags = [part for word in SMALL for part in ("--set", word)]
    command = [sys.executable, "-m", "stocktake", "run", str(EXAMPLES / "demo.toml"), *flags]
    process = subprocess.Popen(
        command, cwd=tmp_path, stderr=subprocess.PIPE, text=True, start_new_session=True,
        env=os.environ | {"OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    until = time.monotonic() + 120
    while not (tmp_path / "runs/demo/split/result.json").exists():
        assert time.monotonic() < until and process.poll() is None
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to every process of the walk
    _, err = process.communicate(timeout=60)

    assert process.returncode == 130
    assert "error: stopped; what was finished stays finished" in err
    assert "Traceback" not in err
    out = walk(tmp_path, "tune.trials=1")
    assert out.returncode == 0, out.stderr
    assert "ingest    is done already" in out.stderr
