import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores as schema
from stocktake.schema.cards import Calibration, ScoreCard
from stocktake.stages.evaluate import EvaluateSettings, evaluate
from stocktake.store.tables import write_table

SIZES = {"calib": 120, "test": 160}
TRAIN = {"1": 30, "2": 60, "3": 10}


def begun(path: Path, stage: str) -> RunFolder:
    return RunFolder.begin(path, about={"stage": stage, "inputs": {}}, settings={})


def scored(path: Path, *, sizes: dict[str, int], beyond: int = 0, result=None) -> RunFolder:
    """A finished run of score, over drawn scores of counts 0..3."""
    rng = np.random.default_rng(1)
    folds = [fold for fold, photos in sizes.items() for _ in range(photos)]
    counts = rng.integers(1, 4, len(folds))
    logits = rng.normal(size=(len(folds), 4)) - 1.5 * np.abs(np.arange(4) - counts[:, None])
    counts[:beyond] = 8
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = pa.table(
        {
            "photo_id": [f"{i:05d}" for i in range(len(folds))],
            "fold": pa.array(folds, pa.string()),
            "group": [f"{i // 2:05d}" for i in range(len(folds))],
            "count": pa.array(counts, pa.int32()),
        }
    )
    run = begun(path, "score")
    table = schema.table_of(rows, log_probs.astype(np.float32))
    write_table(run.artifact("scores.parquet"), table, format=schema.FORMAT)
    run.close("done", result={"counts_by_fold": {"train": TRAIN}} if result is None else result)
    return run


def evaluated(scores: RunFolder, path: Path, **settings):
    run = begun(path, "evaluate")
    made = evaluate(scores=scores, settings=EvaluateSettings(resamples=100, **settings), run=run)
    return made, run


def test_card_calibration_and_headlines_tell_the_same(tmp_path):
    result, run = evaluated(scored(tmp_path / "score", sizes=SIZES), tmp_path / "evaluate")
    card = ScoreCard.read(run.artifact("scorecard.json"))
    calibration = Calibration.read(run.artifact("calibration.json"))

    assert (result.fold, result.n, result.groups) == ("test", 160, 80)
    assert result.accuracy == card.metrics["accuracy"].value
    assert result.accuracy_low < result.accuracy < result.accuracy_high
    assert result.majority_accuracy == card.baselines["majority"].metrics["accuracy"].value
    assert result.temperature == calibration.temperature and calibration.n == 120
    assert card.baselines["majority"].answer == 2
    assert result.over_majority == pytest.approx(result.accuracy - result.majority_accuracy)


def test_the_same_scores_and_seed_give_the_same_bytes(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)
    runs = [evaluated(scores, tmp_path / name)[1] for name in ("a", "b")]

    assert len({run.artifact("scorecard.json").read_bytes() for run in runs}) == 1


def test_the_calibration_does_not_see_the_judged_fold(tmp_path):
    wide = scored(tmp_path / "wide", sizes=SIZES | {"val": 60})
    _, on_test = evaluated(wide, tmp_path / "on-test")
    judged, on_val = evaluated(wide, tmp_path / "on-val", fold="val")

    assert judged.fold == "val" and judged.n == 60
    texts = [json.loads(run.artifact("calibration.json").read_text()) for run in (on_test, on_val)]
    assert texts[0] == texts[1]


def test_counts_beyond_the_model_are_wrong_and_said(tmp_path):
    sizes = {"test": 160, "calib": 120}  # test first: the beyond ones are test photos
    scores = scored(tmp_path / "score", sizes=sizes, beyond=16)
    result, run = evaluated(scores, tmp_path / "evaluate")

    assert result.beyond_max_count == 16 and result.accuracy <= 0.9
    assert any("16 of 160" in line["message"] for line in run.lines())


def test_a_calib_fold_too_small_for_the_promise_is_said(tmp_path):
    scores = scored(tmp_path / "score", sizes={"calib": 8, "test": 20})
    result, run = evaluated(scores, tmp_path / "evaluate")

    assert result.covered == 1.0 and result.width == 4.0
    assert any("too few" in line["message"] for line in run.lines())


@pytest.mark.parametrize(("sizes", "lacking"), [({"test": 30}, "calib"), ({"calib": 30}, "test")])
def test_a_fold_without_photos_is_named_with_what_there_is(tmp_path, sizes, lacking):
    scores = scored(tmp_path / "score", sizes=sizes)

    with pytest.raises(DataError, match=f"no photo of the {lacking} fold") as caught:
        evaluated(scores, tmp_path / "evaluate")
    (there,) = Counter(sizes)
    assert f"{there} 30" in str(caught.value) and "score.folds" in str(caught.value)


def test_scores_without_the_train_counts_are_refused(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES, result={"photos": 280})

    with pytest.raises(DataError, match="train fold's counts"):
        evaluated(scores, tmp_path / "evaluate")


def test_a_missing_column_is_a_clear_error(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)
    path = scores.artifact("scores.parquet")
    write_table(path, pa.table({"photo_id": ["1"], "fold": ["test"]}), format=schema.FORMAT)

    with pytest.raises(DataError, match="no column 'group'"):
        evaluated(scores, tmp_path / "evaluate")


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"fold": "calib"}, "fold must be"),
        ({"coverage": 90}, "coverage must be between 0 and 1"),
        ({"resamples": 3}, "100 or more"),
        ({"decode": "max"}, "decode must be"),
        ({"seed": -1}, "seed must be 0"),
    ],
)
def test_impossible_settings_are_refused(setting, told):
    with pytest.raises(ValueError, match=told):
        EvaluateSettings(**setting)
