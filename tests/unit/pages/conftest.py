"""A whole small run: real stages where they are quick, the others' files as they write them."""

import io
import json
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest
from PIL import Image

from stocktake.pages.standing import Stages, read_stages
from stocktake.runs import machine
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import bundles, predictions, scores, splits
from stocktake.stages import debug, export, paint, predict, score, serve, table, train, tune, worker
from stocktake.store.tables import read_table, write_table

HOSTILE = "<script>alert(1)</script>"
STRAY = "<img src=x onerror=alert(1)>.jpg"
PHOTOS = 60


def jpeg(shade: int, *, size: tuple[int, int] = (60, 40)) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, (shade % 256, 2 * shade % 256, 90)).save(made, "JPEG")
    return made.getvalue()


def fill_bucket(folder: Path) -> None:
    """Photos of counts 1 to 3, each bin twice; a cut photo, one without a record, a stray file."""
    for name in ("bin-images", "metadata"):
        (folder / name).mkdir(parents=True)
    for i in range(PHOTOS):
        photo = jpeg(4 * i, size=(60 + i % 7, 40 + i % 5))
        (folder / f"bin-images/{i:05d}.jpg").write_bytes(photo)
        count = 1 + i // 2 % 3
        asin = f"A{i // 2}"
        row = {
            "BIN_FCSKU_DATA": {asin: {"asin": asin, "name": HOSTILE, "quantity": count}},
            "EXPECTED_QUANTITY": count,
        }
        (folder / f"metadata/{i:05d}.json").write_text(json.dumps(row))
    (folder / "bin-images/00001.jpg").write_bytes(jpeg(3)[:300])
    (folder / "metadata/00002.json").unlink()
    (folder / "bin-images" / STRAY).write_bytes(b"no photo")


def close(run: RunFolder, result: Any) -> None:
    run.close("done", result=msgspec.to_builtins(result))


class Way:
    """Makes stages of one run, in the order of the way."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def begin(self, name: str, settings: Any) -> RunFolder:
        inputs = {}
        for thing in table.find(name).takes:
            source = RunFolder(self.folder / table.giver(thing).name)
            inputs[thing] = {"address": str(source.path), "fingerprint": source.fingerprint}
        about = {
            "stage": name,
            "fingerprint": f"mark-of-{name}",
            "inputs": inputs,
            "versions": machine.versions(),
            "machine": machine.describe(),
        }
        return RunFolder.begin(self.folder / name, about=about, settings=reader.resolved(settings))

    def work(self, name: str, **settings: Any) -> None:
        """Let the stage itself make its run."""
        inputs = {
            thing: str(self.folder / table.giver(thing).name) for thing in table.find(name).takes
        }
        output = str(self.folder / name)
        worker.run_job(Job(stage=name, settings=settings, inputs=inputs, output=output))


def painted(way: Way) -> Path:
    run = way.begin("paint", paint.PaintSettings(photos=PHOTOS))
    fill_bucket(run.artifact("bucket"))
    close(
        run, paint.PaintResult(photos=PHOTOS, found=0, photos_by_count={}, items=120, size_bytes=9)
    )
    return run.artifact("bucket")


def tuned(way: Way) -> None:
    settings = tune.TuneSettings(trials=3, fixed={"epochs": 1})
    run = way.begin("tune", settings)
    values = [(0, 1.4, "done", ""), (1, None, "failed", f"no luck {HOSTILE}"), (2, 1.2, "done", "")]
    trials = [
        {
            "number": number,
            "params": {"train.optimizer.lr": 10.0 ** -(number + 1)},
            "state": state,
            "value": value,
            "history": [value] if value else [],
            "seconds": 1.5,
            "error": error,
        }
        for number, value, state, error in values
    ]
    best = {"number": 2, "params": {"train.optimizer.lr": 0.001}, "value": 1.2}
    row = {"metric": "val_loss", "direction": "minimize", "trials": trials, "best": best}
    run.artifact("tune.json").write_text(json.dumps(row))
    made = tune.TuneResult(
        trials=3,
        failed=1,
        stopped=0,
        best_trial=2,
        best_value=1.2,
        best_params=best["params"],
        seconds=4.5,
    )
    close(run, made)


def trained(way: Way) -> None:
    run = way.begin("train", train.TrainSettings(epochs=3))
    for epoch in (1, 2, 3):
        loss = {"train_loss": 2.0 / epoch, "val_loss": 1.5 + (epoch - 2) ** 2 / 10}
        right = {"train_accuracy": 0.2 * epoch, "val_accuracy": 0.25 * epoch}
        run.metric(epoch, **loss, **right, seconds=1.0, wait_s=0.1, photos_per_s=40.0)
    run.warn("look at this")
    verdict = {"RuleConfigurationName": "Overfit", "RuleEvaluationStatus": "IssuesFound"}
    verdict |= {"StatusDetails": HOSTILE, "advice": "Stop.", "first": {"mode": "eval", "step": 1}}
    debug.keep(run.path / debug.RULES, [verdict])
    made = train.TrainResult(
        best_epoch=2,
        val_loss=1.5,
        val_accuracy=0.5,
        epochs=3,
        photos_per_s=40.0,
        parameters=1234,
        weights_source="random",
        max_count=3,
        side_px=64,
        train_counts={"1": 12, "2": 12, "3": 12},
        train_left_out=0,
        missing_counts=[0],
        device="cpu",
        precision="float32",
        peak_memory_gb=1.2,
        estimated_s=100.0,
        took_s=120.0,
    )
    close(run, made)


def scored(way: Way) -> None:
    split = read_table(way.folder / "split/artifacts/split.parquet", format=splits.FORMAT)
    rows = scores.of_folds(split, ["val", "calib", "test"])
    rng = np.random.default_rng(4)
    counts = rows["count"].to_numpy()
    logits = rng.normal(size=(len(rows), 4)) - 1.5 * np.abs(np.arange(4) - counts[:, None])
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    run = way.begin("score", score.ScoreSettings())
    made = scores.table_of(rows, log_probs.astype(np.float32))
    write_table(run.artifact("scores.parquet"), made, format=scores.FORMAT)
    by_fold = RunFolder(way.folder / "split").result()["counts_by_fold"]
    result = score.ScoreResult(
        photos=len(rows),
        max_count=3,
        epoch=2,
        photos_by_fold={fold: sum(tally.values()) for fold, tally in by_fold.items()},
        counts_by_fold=by_fold,
        photos_per_s=99.0,
    )
    close(run, result)


def exported(way: Way) -> None:
    run = way.begin("export", export.ExportSettings())
    folder = run.artifact("bundle")
    folder.mkdir()
    about = bundles.Bundle(
        max_count=3,
        preprocessing={"side_px": 64, "mean": [0.5] * 3, "std": [0.5] * 3},
        calibration={"temperature": 1.0, "coverage": 0.9, "threshold": 0.9},
        backbone="tf_efficientnet_lite0",
        head="softmax",
        weights_source="random",
        model_sha256="0" * 64,
        data=f"Trained on {HOSTILE}.",
        licence="see NOTICE",
    )
    bundles.write(folder, about)
    parity = {"photos": 16, "tolerance": 1e-4, "max_gap": 2e-6, "mean_gap": 1e-6, "same_counts": 16}
    bundles.write_json(folder, bundles.PARITY, parity)
    made = export.ExportResult(
        bundle=about.id, size_mb=13.7, max_gap=2e-6, tolerance=1e-4, photos=16, max_count=3
    )
    close(run, made)


def predicted(way: Way) -> None:
    run = way.begin("predict", predict.PredictSettings(source=f"folder/{HOSTILE}"))
    answer = predictions.Prediction(
        photo_id="1",
        count=2,
        confidence=0.7,
        low=1,
        high=3,
        coverage=0.9,
        probabilities=[0.1, 0.1, 0.7, 0.1],
        decision="review",
        bundle="b",
    )
    failed = predictions.failed_row(
        photo_id="2", source=f"{HOSTILE}.jpg", bundle="b", error=f"cut short {HOSTILE}"
    )
    rows = [predictions.row_of(answer, source="1.jpg"), failed]
    made = predictions.table_of(rows, max_count=3)
    write_table(run.artifact("predictions.parquet"), made, format=predictions.FORMAT)
    result = predict.PredictResult(
        photos=2,
        failed=1,
        mean_count=2.0,
        mean_confidence=0.7,
        total=2,
        bundle="b",
        photos_per_s=50.0,
    )
    close(run, result)


def served(way: Way) -> None:
    run = way.begin("serve", serve.ServeSettings())
    rows = []
    for i, (photo_id, count) in enumerate([("00010", 2), ("00020", 3), (f"x{HOSTILE[:8]}", 1)]):
        answer = {"count": 2, "confidence": 0.5, "low": 1, "high": 2}
        spread = [0.1, 0.3, 0.5, 0.1]
        row = {"photo_id": photo_id, "true_count": count, "probabilities": spread, "ms": 5.0 + i}
        rows.append(row | answer)
        run.artifact(f"photos/{photo_id}.jpg").write_bytes(jpeg(20 * i))
    run.artifact("answers.json").write_text(json.dumps(rows))
    close(run, serve.ServeResult(answers=rows, right=1, port=80, start_s=1.1, mean_ms=6.0))


@pytest.fixture(scope="session")
def whole_run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of all stages; not to be changed."""
    way = Way(tmp_path_factory.mktemp("runs") / "demo")
    bucket = painted(way)
    way.work("ingest", source=str(bucket))
    way.work("explore", samples_per_count=2, photos_for_colours=3)
    way.work("split", val_frac=0.2, calib_frac=0.2, test_frac=0.3, kind="balanced")
    tuned(way)
    trained(way)
    scored(way)
    way.work("evaluate", resamples=100)
    exported(way)
    predicted(way)
    served(way)
    return way.folder


@pytest.fixture
def demo(whole_run: Path, tmp_path: Path) -> Path:
    """A copy of the whole run, to be changed at will."""
    ignore = shutil.ignore_patterns("report.html")
    return Path(shutil.copytree(whole_run, tmp_path / "runs" / "demo", ignore=ignore))


@pytest.fixture(scope="session")
def stages(whole_run: Path) -> Stages:
    """The stages of the whole run, read."""
    return read_stages(whole_run)


@pytest.fixture
def reword() -> Callable[..., None]:
    """Changes keys of a JSON file."""

    def change(path: Path, **values: Any) -> None:
        path.write_text(json.dumps(json.loads(path.read_text()) | values))

    return change


@pytest.fixture
def svgs() -> Callable[[str], Iterator[str]]:
    """The drawings in a page."""

    def find(text: str) -> Iterator[str]:
        for piece in text.split("<svg")[1:]:
            yield "<svg" + piece[: piece.index("</svg>")] + "</svg>"

    return find
