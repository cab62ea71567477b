import dataclasses
import json
from pathlib import Path

import pyarrow as pa
import pytest
import torch
from torch import nn

from stocktake.errors import DataError, RunError, StocktakeError
from stocktake.runs.folder import RunFolder
from stocktake.schema import bundles, scores, splits
from stocktake.schema.cards import Calibration, ScoreCard
from stocktake.schema.checkpoints import Checkpoint
from stocktake.serve.predictor import Predictor
from stocktake.serve.quantise import quantised_ops
from stocktake.stages.export import ExportSettings, compare, export, painted
from stocktake.store.shards import PhotoShards
from stocktake.store.tables import read_table, write_table
from stocktake.testing.samples import photos_run, split_run
from stocktake.vision.backbones import Backbone, backbones
from stocktake.vision.checkpoints import Keeper, best
from stocktake.vision.counter import make_backbone, make_counter, preprocessing_of
from stocktake.vision.inference import log_probs_of_shards

MAX_COUNT = 5
HALF = {"mean": (0.5, 0.5, 0.5), "std": (0.25, 0.25, 0.25)}
SETTINGS = ExportSettings(photos_for_parity=4)


@backbones.add("test-tiny")
def tiny(*, side_px: int) -> Backbone:
    """A few convolutions."""
    layers = nn.Conv2d(3, 8, 5, stride=4), nn.ReLU(), nn.AdaptiveAvgPool2d(2), nn.Flatten()
    return Backbone(module=nn.Sequential(*layers), features=32, side_px=side_px or 48, **HALF)


class TwoFaced(nn.Module):
    """Answers otherwise when it is exported, as operations with an ONNX form of their own may."""

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        pooled = photos.mean(dim=(2, 3))  # (B, 3)
        return pooled * 5 + 3 if torch.compiler.is_exporting() else pooled


@backbones.add("test-two-faced")
def two_faced(*, side_px: int) -> Backbone:
    """A backbone that ONNX gets wrong."""
    return Backbone(module=TwoFaced(), features=3, side_px=side_px or 48, **HALF)


class Towering(nn.Module):
    """One channel towers above the others, so that 8 bits have no room left for these."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Conv2d(3, 8, 5, stride=4), nn.Conv2d(8, 8, 1)
        with torch.no_grad():
            self.first.bias[0] = 1e4
            self.second.weight[:, 0] = 0

    def forward(self, photos: torch.Tensor) -> torch.Tensor:
        return self.second(self.first(photos)).mean(dim=(2, 3))  # (B, 8)


@backbones.add("test-towering")
def towering(*, side_px: int) -> Backbone:
    """A backbone that int8 gets wrong."""
    return Backbone(module=Towering(), features=8, side_px=side_px or 48, **HALF)


def begun(path: Path, stage: str, *, settings: dict | None = None, **inputs: RunFolder):
    known = {k: {"address": str(r.path), "fingerprint": r.fingerprint} for k, r in inputs.items()}
    about = {"stage": stage, "fingerprint": f"{path.parent.name}-{stage}", "inputs": known}
    return RunFolder.begin(path, about=about, settings=settings or {})


def trained(run: RunFolder, name: str, *, seed: int = 0, strength: float = 3) -> RunFolder:
    torch.manual_seed(seed)
    backbone = make_backbone(name, side_px=48)
    counter = make_counter(backbone, "softmax", max_count=MAX_COUNT)
    with torch.no_grad():
        for weights in counter.parameters():
            weights *= strength  # a fresh head is all but undecided, and hides differences
    about = Checkpoint(
        epoch=1,
        step=1,
        backbone=name,
        head="softmax",
        max_count=MAX_COUNT,
        preprocessing=preprocessing_of(backbone).to_dict(),
        weights_source="random",
    )
    Keeper(run.artifact("checkpoints")).save(counter, about, trainer={}, is_best=True)
    run.close("done", result={})
    return run


def judged(decode: str, max_count: int) -> ScoreCard:
    """A scorecard that says how counts were decoded, and little else."""
    return ScoreCard(
        fold="test",
        n=100,
        groups=90,
        max_count=max_count,
        beyond_max_count=0,
        decode=decode,
        temperature=1.5,
        coverage=0.9,
        nll_floor=1e-6,
        floored=0,
        metrics={},
        wilson={},
        decodings={},
        baselines={},
        per_count=[],
        confusion=[],
        reliability={},
    )


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory):
    """Makes the finished runs that export takes, by the name of a backbone."""

    def make(
        name: str = "test-tiny",
        *,
        views: int = 1,
        max_count: int = MAX_COUNT,
        decode: str = "mode",
    ):
        root = tmp_path_factory.mktemp(name)
        photos = begun(root / "ingest", "ingest", settings={"source": "painted/bucket"})
        checkpoint = trained(begun(root / "train", "train", photos=photos), name)
        inputs = {"photos": photos, "checkpoint": checkpoint}
        scores = begun(root / "score", "score", settings={"views": views}, **inputs)
        calibration = begun(root / "evaluate", "evaluate", scores=scores)
        fitted = Calibration(
            temperature=1.5, coverage=0.9, threshold=0.9, fold="calib", n=100, max_count=max_count
        )
        fitted.write(calibration.artifact("calibration.json"))
        judged(decode, max_count).write(calibration.artifact("scorecard.json"))
        return {"checkpoint": checkpoint, "calibration": calibration}

    return make


@pytest.fixture(scope="module")
def inputs(made):
    return made()


@pytest.fixture(scope="module")
def done(inputs, tmp_path_factory: pytest.TempPathFactory):
    """One export: its run, its result."""
    run = begun(tmp_path_factory.mktemp("export") / "export", "export")
    return run, export(**inputs, settings=SETTINGS, run=run)


def test_a_bundle_is_whole_and_answers_as_its_checkpoint(done, inputs):
    run, result = done
    folder = run.artifact("bundle")
    predictor = Predictor.load(folder)

    assert predictor.self_test() < 1e-6
    assert result.bundle == predictor.bundle.id
    report = compare(
        predictor,
        best(inputs["checkpoint"].artifact("checkpoints")),
        painted(3, seed=9),
        tolerance=1e-4,
    )
    assert report["same_counts"] == 3


def test_a_bundle_says_what_it_is_made_of(done):
    folder = done[0].artifact("bundle")
    bundle = bundles.read(folder)

    assert bundle.backbone == "test-tiny" and bundle.weights_source == "random"
    assert bundle.calibration["temperature"] == 1.5 and bundle.max_count == MAX_COUNT
    assert bundle.preprocessing["side_px"] == 48
    assert "painted/bucket" in bundle.data and "licence" in bundle.licence
    assert "torch" in bundle.versions
    assert sorted(str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()) == [
        "bundle.json", "card.md", "model.onnx", "parity.json", "self-test/expected.json",
        "self-test/photo.jpg",
    ]  # fmt: skip


def test_the_parity_report_says_how_near_the_two_are(done):
    run, result = done
    report = json.loads((run.artifact("bundle") / bundles.PARITY).read_text())

    assert report["photos"] == result.photos == 4
    assert report["max_gap"] == result.max_gap <= result.tolerance == 1e-4


def test_a_model_that_onnx_gets_wrong_is_refused_and_leaves_nothing(made, tmp_path):
    run = begun(tmp_path / "export", "export")

    with pytest.raises(
        StocktakeError, match=r"differ .* by up to 0\.\d+ .* export.tolerance allows 0.0001"
    ):
        export(**made("test-two-faced"), settings=SETTINGS, run=run)

    assert list(run.artifact("bundle").parent.iterdir()) == []


def test_another_checkpoint_is_not_taken_for_the_same(done, made):
    other = best(trained(begun_train(made), "test-tiny", seed=7).artifact("checkpoints"))

    with pytest.raises(StocktakeError, match="differ"):
        compare(
            Predictor.load(done[0].artifact("bundle")), other, painted(2, seed=0), tolerance=1e-4
        )


def begun_train(made) -> RunFolder:
    path = made()["checkpoint"].path
    return begun(path.with_name("train-2"), "train")


def test_a_bundle_looks_as_its_scores_did(made, tmp_path):
    run = begun(tmp_path / "export", "export")

    result = export(**made(views=4), settings=SETTINGS, run=run)

    assert bundles.read(run.artifact("bundle")).views == 4
    assert result.max_gap <= 1e-4


def test_a_bundle_answers_as_it_was_judged(made, tmp_path):
    run = begun(tmp_path / "export", "export")

    export(**made(decode="mean"), settings=SETTINGS, run=run)

    assert Predictor.load(run.artifact("bundle")).bundle.decode == "mean"


def test_an_evaluation_without_a_scorecard_is_refused(made, tmp_path):
    inputs = made()
    inputs["calibration"].artifact("scorecard.json").unlink()

    with pytest.raises(DataError, match=r"scorecard.json is not there; `stocktake evaluate`"):
        export(**inputs, settings=SETTINGS, run=begun(tmp_path / "export", "export"))


def test_a_calibration_of_another_checkpoint_is_refused(inputs, made, tmp_path):
    run = begun(tmp_path / "export", "export")

    with pytest.raises(RunError, match="scores of another checkpoint"):
        export(
            checkpoint=inputs["checkpoint"],
            calibration=made()["calibration"],
            settings=SETTINGS,
            run=run,
        )


def test_a_calibration_of_other_counts_is_refused(made, tmp_path):
    run = begun(tmp_path / "export", "export")

    with pytest.raises(DataError, match="calibrates counts up to 9"):
        export(**made(max_count=9), settings=SETTINGS, run=run)


@pytest.fixture
def with_photos(tmp_path: Path):
    """Makes the finished runs that export takes, with photos whose counts the checkpoint knows."""

    def make(name: str) -> dict[str, RunFolder]:
        data = {"photos": photos_run(tmp_path / "ingest"), "split": split_run(tmp_path / "split")}
        checkpoint = trained(begun(tmp_path / "train", "train", **data), name, strength=6)
        run = begun(tmp_path / "score", "score", **data, checkpoint=checkpoint)
        split = read_table(data["split"].artifact("split.parquet"), format=splits.FORMAT)
        rows = scores.of_folds(split, ["val", "test"])
        log_probs = log_probs_of_shards(
            best(checkpoint.artifact("checkpoints")),
            PhotoShards.open(data["photos"].artifact("photos")),
            rows["photo_id"].to_pylist(),
        )
        said = pa.array(log_probs.argmax(axis=1), pa.int32())
        rows = rows.set_column(rows.column_names.index("count"), "count", said)
        table = scores.table_of(rows, log_probs)
        write_table(run.artifact("scores.parquet"), table, format=scores.FORMAT)
        calibration = begun(tmp_path / "evaluate", "evaluate", photos=data["photos"], scores=run)
        fitted = Calibration(
            temperature=1.5, coverage=0.9, threshold=0.9, fold="calib", n=9, max_count=MAX_COUNT
        )
        fitted.write(calibration.artifact("calibration.json"))
        judged("mode", MAX_COUNT).write(calibration.artifact("scorecard.json"))
        return {"checkpoint": checkpoint, "calibration": calibration}

    return make


INT8 = dataclasses.replace(SETTINGS, precision="int8", calibration_photos=12)


def test_an_int8_bundle_answers_as_float32_does_and_says_how_it_was_judged(with_photos, tmp_path):
    run = begun(tmp_path / "export", "export")

    result = export(**with_photos("test-tiny"), settings=INT8, run=run)

    folder = run.artifact("bundle")
    predictor = Predictor.load(folder)
    report = json.loads((folder / bundles.PARITY).read_text())
    assert predictor.bundle.precision == result.precision == "int8"
    assert predictor.self_test() < 1e-6
    assert quantised_ops(folder / bundles.MODEL) > 0
    assert report["max_gap"] == result.max_gap <= 1e-4
    assert report["int8"]["int8"] == result.int8 and report["int8"]["float32"] == result.float32
    assert report["int8"]["photos"] == 12 and report["int8"]["fitted_on"] == 12
    assert result.float32["accuracy"] == 1.0 == result.int8["accuracy"]
    assert 0 < report["int8"]["max_gap"] < 0.1
    assert result.int8["size_mb"] == result.size_mb
    assert "| size of the model, MB |" in (folder / bundles.CARD).read_text()
    (warning,) = [line["message"] for line in run.lines() if line["level"] == "warning"]
    assert "judged on 12 photos, where one is 8.33% of them" in warning


def test_int8_that_answers_worse_is_refused_and_leaves_its_figures_but_no_bundle(
    with_photos, tmp_path
):
    run = begun(tmp_path / "export", "export")
    inputs = with_photos("test-towering")

    with pytest.raises(
        StocktakeError,
        match=r"accuracy goes from 1\.0000 to 0\.\d+, .* export.max_accuracy_loss allows 0.01;",
    ):
        export(**inputs, settings=INT8, run=run)

    assert [path.name for path in run.artifact("bundle").parent.iterdir()] == [bundles.PARITY]
    told = json.loads(run.artifact(bundles.PARITY).read_text())["int8"]
    assert told["float32"]["accuracy"] == 1.0 > told["int8"]["accuracy"]

    lax = dataclasses.replace(INT8, max_accuracy_loss=1, max_ece_gain=1, max_coverage_loss=1)
    export(**inputs, settings=lax, run=run)
    assert [path.name for path in run.artifact("bundle").parent.iterdir()] == ["bundle"]


def test_int8_without_the_photos_behind_the_checkpoint_is_refused_at_once(made, tmp_path):
    run = begun(tmp_path / "export", "export")

    with pytest.raises(RunError, match="was not made from a run of split"):
        export(**made(), settings=INT8, run=run)
    assert list(run.artifact("bundle").parent.iterdir()) == []


def test_the_card_in_the_bundle_is_of_this_bundle(done):
    folder = done[0].artifact("bundle")
    text = (folder / bundles.CARD).read_text()

    assert text.startswith(f"# Model card: bundle {bundles.read(folder).id}\n")
    assert "painted/bucket" in text and "Measured on 100 photos" in text


def test_painted_photos_are_fixed_by_their_seed_and_differ():
    photos = painted(4, seed=3)

    assert photos == painted(4, seed=3)
    assert photos != painted(4, seed=4)
    assert len(set(photos)) == 4


@pytest.mark.parametrize(
    "change",
    [
        {"tolerance": 0},
        {"tolerance": 1.5},
        {"photos_for_parity": 0},
        {"accept_confidence": 1.1},
        {"seed": -1},
        {"precision": "bfloat16"},
        {"calibration_photos": 0},
        {"max_accuracy_loss": -0.1},
        {"max_ece_gain": 1.5},
        {"max_coverage_loss": float("nan")},
    ],
)
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        dataclasses.replace(ExportSettings(), **change)
