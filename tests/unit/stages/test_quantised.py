from pathlib import Path

import numpy as np
import pytest

from stocktake.errors import DataError, RunError, StocktakeError
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores, splits
from stocktake.serve.predictor import Predictor
from stocktake.stages import quantised
from stocktake.store.tables import read_table, write_table
from stocktake.testing.samples import photos_run, split_run

MAX_COUNT = 5
ALLOWED = {"accuracy": ("max_accuracy_loss", 0.01), "covered": ("max_coverage_loss", 0.02)}


def begun(path: Path, **inputs: RunFolder) -> RunFolder:
    known = {k: {"address": str(r.path), "fingerprint": r.fingerprint} for k, r in inputs.items()}
    about = {"stage": path.name, "fingerprint": f"of {path.name}", "inputs": known}
    return RunFolder.begin(path, about=about, settings={})


class Runs:
    """The finished runs behind an export, with scores of some folds."""

    def __init__(self, root: Path, *, folds: tuple[str, ...] = ("val", "test")) -> None:
        self.photos = photos_run(root / "ingest")
        self.split = split_run(root / "split")
        self.checkpoint = begun(root / "train", photos=self.photos, split=self.split)
        data = {"photos": self.photos, "split": self.split}
        self.scores = begun(root / "score", **data, checkpoint=self.checkpoint)
        self.calibration = begun(root / "evaluate", photos=self.photos, scores=self.scores)
        split = read_table(self.split.artifact("split.parquet"), format=splits.FORMAT)
        rows = scores.of_folds(split, list(folds))
        logits = np.random.default_rng(0).normal(size=(len(rows), MAX_COUNT + 1))
        log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
        self.table = scores.table_of(rows, log_probs.astype(np.float32))
        write_table(self.scores.artifact("scores.parquet"), self.table, format=scores.FORMAT)

    def evidence(self, *, photos: int = 10, seed: int = 0) -> quantised.Evidence:
        return quantised.evidence(self.checkpoint, self.calibration, photos=photos, seed=seed)

    def ids(self, fold: str) -> list[str]:
        split = read_table(self.split.artifact("split.parquet"), format=splits.FORMAT)
        return scores.of_folds(split, [fold])["photo_id"].to_pylist()


@pytest.fixture
def runs(tmp_path: Path) -> Runs:
    return Runs(tmp_path)


def test_int8_is_fitted_on_train_photos_and_judged_on_val_photos(runs):
    found = runs.evidence()

    assert len(found.fit.photo_ids) == 10 and set(found.fit.photo_ids) < set(runs.ids("train"))
    assert list(found.judge.photo_ids) == runs.ids("val")
    val = scores.of_folds(runs.table, ["val"])
    assert (found.counts == scores.counts(val)).all()
    assert (found.log_probs == scores.matrix(val)).all()


def test_the_photos_to_fit_on_follow_from_the_seed(runs):
    assert runs.evidence().fit.photo_ids == runs.evidence().fit.photo_ids
    assert runs.evidence().fit.photo_ids != runs.evidence(seed=1).fit.photo_ids


def test_a_small_train_fold_is_taken_whole(runs):
    assert list(runs.evidence(photos=999).fit.photo_ids) == runs.ids("train")


@pytest.mark.parametrize("name", ["photos", "split", "scores"])
def test_a_run_that_is_gone_is_named_with_a_way_out(runs, name):
    gone = getattr(runs, name).path
    gone.rename(gone.with_name("elsewhere"))

    with pytest.raises(RunError, match=rf"{gone.name}, where no run .*precision = \"float32\""):
        runs.evidence()


def test_scores_without_val_photos_are_refused_with_what_to_do(tmp_path):
    with pytest.raises(DataError, match="no photo of the val fold.*'val' into score.folds"):
        Runs(tmp_path, folds=("calib", "test")).evidence()


def test_a_model_beside_itself_differs_in_nothing(runs, bright_bundle):
    predictor, found = Predictor.load(bright_bundle), runs.evidence()
    own = np.concatenate([predictor.log_probs(batch) for batch in found.judge.prepared(predictor)])
    same = quantised.Evidence(fit=found.fit, judge=found.judge, counts=found.counts, log_probs=own)
    report = quantised.judged(predictor, same, runs.checkpoint)

    assert report["same_counts"] == report["photos"] == len(found.counts)
    assert report["max_gap"] == 0 and report["float32"] == report["int8"]
    quantised.check(report, {name: (setting, 0.0) for name, (setting, _) in ALLOWED.items()})


def test_figures_are_those_of_the_answers_that_the_bundle_gives(runs, bundle_maker, tmp_path):
    calibration = {"temperature": 0.7, "coverage": 0.9, "threshold": 0.4}
    folder = bundle_maker(tmp_path / "b", calibration=calibration, decode="mean")
    predictor, found = Predictor.load(folder), runs.evidence()
    figures = quantised.judged(predictor, found, runs.checkpoint)["int8"]
    given = predictor.predict(found.judge.shards.jpegs(found.judge.photo_ids))

    pairs = list(zip(given, found.counts, strict=True))
    assert figures["accuracy"] == np.mean([one.count == count for one, count in pairs])
    assert figures["covered"] == np.mean([one.low <= count <= one.high for one, count in pairs])
    assert figures["width"] == np.mean([one.high - one.low + 1 for one in given])
    surprise = [-np.log(max(one.probabilities[count], 1e-6)) for one, count in pairs]
    assert figures["nll"] == pytest.approx(np.mean(surprise), abs=1e-4)


def report_of(**int8: float) -> dict:
    before = {"accuracy": 0.6, "covered": 0.9, "ece": 0.05}
    return {"photos": 200, "fold": "val", "float32": before, "int8": before | int8}


@pytest.mark.parametrize("int8", [{}, {"accuracy": 0.59}, {"accuracy": 0.9}, {"covered": 0.88}])
def test_what_is_within_the_margins_passes(int8):
    quantised.check(report_of(**int8), ALLOWED)


@pytest.mark.parametrize(
    ("int8", "told"),
    [
        ({"accuracy": 0.585}, "accuracy goes from 0.6000 to 0.5850, 0.0150 worse, .*loss allows"),
        ({"covered": 0.8}, r"covered goes .* export.max_coverage_loss allows 0.02; no bundle"),
        ({"accuracy": 0.1, "covered": 0.1}, r"accuracy goes .* covered goes "),
        ({"accuracy": float("nan")}, "accuracy goes"),
    ],
)
def test_what_is_beyond_names_figure_found_allowed_and_what_to_do(int8, told):
    with pytest.raises(StocktakeError, match=told) as caught:
        quantised.check(report_of(**int8), ALLOWED)
    assert "200 photos of the val fold" in str(caught.value)
    assert "calibration_photos" in str(caught.value)


def test_more_calibration_error_is_worse_and_less_is_not():
    allowed = {"ece": ("max_ece_gain", 0.02)}
    quantised.check(report_of(ece=0.01), allowed)

    with pytest.raises(StocktakeError, match="ece goes from 0.0500 to 0.0800"):
        quantised.check(report_of(ece=0.08), allowed)
