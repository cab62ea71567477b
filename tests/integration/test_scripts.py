"""The three scripts under the report's names, run as people and SageMaker run them."""

import json
import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import pytest

from stocktake.runs.job import Job
from stocktake.stages.worker import run_job

SCRIPTS = Path(__file__).parents[2] / "scripts"
SMALL = ["--backbone", "test_resnet", "--weights", "none", "--side-px", "64", "--epochs", "1"]
SMALL += ["--batch-size", "16", "--lr", "0.001"]


@pytest.fixture(scope="module")
def ingested(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """60 painted photos: their bucket, and the finished ingest of it."""
    root = tmp_path_factory.mktemp("photos")
    paint = run_job(
        Job(
            stage="paint", settings={"photos": 60, "seed": 5}, inputs={}, output=str(root / "paint")
        )
    )
    bucket = paint.artifact("bucket")
    ingest = run_job(
        Job(
            stage="ingest", settings={"source": str(bucket)}, inputs={}, output=str(root / "ingest")
        )
    )
    return {"bucket": bucket, "ingest": ingest.path}


def say(script: str, *words: str | Path, **env: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPTS / script), *map(str, words)]
    surroundings = {k: v for k, v in os.environ.items() if not k.startswith("SM_")}
    surroundings |= {"OMP_NUM_THREADS": "1"} | {k: str(v) for k, v in env.items()}
    return subprocess.run(command, capture_output=True, text=True, env=surroundings)


@pytest.fixture(scope="module")
def model(ingested, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What train.py writes when SageMaker's variables say where things are."""
    model_dir = tmp_path_factory.mktemp("model")
    out = say("train.py", *SMALL, SM_CHANNEL_TRAINING=ingested["bucket"], SM_MODEL_DIR=model_dir)
    assert out.returncode == 0, out.stderr
    assert re.search(r"^epoch 1: .*validation loss: [-+0-9.eE]+;", out.stdout, re.MULTILINE)
    return model_dir


def test_train_leaves_a_bundle_and_its_checkpoint(model):
    assert (model / "bundle.json").exists() and (model / "model.onnx").exists()
    assert (model / "checkpoint" / "weights.safetensors").exists()
    assert json.loads((model / "bundle.json").read_text())["backbone"] == "test_resnet"


def test_hpo_prints_the_metric_a_tuner_reads_last(ingested, tmp_path):
    words = ["--data", ingested["ingest"], "--model-dir", tmp_path / "model"]

    out = say("hpo.py", *SMALL, *words, "--work-dir", tmp_path / "work")

    assert out.returncode == 0, out.stderr
    found = re.findall(r"validation loss: ([-+0-9.eE]+)", out.stdout)
    result = json.loads((tmp_path / "work" / "train" / "result.json").read_text())["result"]
    assert float(found[-1]) == pytest.approx(result["val_loss"], rel=1e-5)
    assert (tmp_path / "model" / "checkpoint" / "checkpoint.json").exists()


def test_inference_answers_photos_from_what_train_left(model, ingested):
    photo = next((ingested["bucket"] / "bin-images").iterdir())

    out = say("inference.py", "--model-dir", model, photo, "nowhere.jpg")

    good, bad = map(json.loads, out.stdout.splitlines())
    assert good["low"] <= good["count"] <= good["high"]
    assert "error" in bad and out.returncode == 3


def test_the_handlers_are_those_an_endpoint_calls(model, ingested):
    handlers = runpy.run_path(str(SCRIPTS / "inference.py"))
    photo = next((ingested["bucket"] / "bin-images").iterdir()).read_bytes()

    loaded = handlers["model_fn"](str(model))
    asked = handlers["input_fn"](photo, "image/jpeg")
    body, kind = handlers["output_fn"](handlers["predict_fn"](asked, loaded), "*/*")

    assert kind == "application/json"
    assert json.loads(body)["bundle"] == loaded.bundle.id


@pytest.mark.parametrize("script", ["train.py", "hpo.py"])
def test_without_photos_a_script_says_what_to_give(script, tmp_path):
    out = say(script, "--model-dir", tmp_path)

    assert out.returncode == 2
    assert out.stderr.startswith("error: no photos: give --data")


def test_a_wrong_setting_is_one_line(ingested, tmp_path):
    out = say(
        "hpo.py", "--data", ingested["ingest"], "--model-dir", tmp_path, "--set", "train.lr=1"
    )

    assert out.returncode == 2
    assert out.stderr.startswith("error: train.lr is not a setting") and "\n" not in out.stderr[:-1]
