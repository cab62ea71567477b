from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from drawn import ingested

from stocktake.errors import DataError, RunError, SettingsError
from stocktake.measure import metrics
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores as schema
from stocktake.schema.cards import ScoreCard
from stocktake.stages.compare import paired
from stocktake.stages.evaluate import EvaluateSettings, evaluate
from stocktake.store.tables import write_table

COUNTS = np.random.default_rng(0).integers(1, 4, 280)
FOLDS = ["calib"] * 80 + ["val"] * 40 + ["test"] * 160


def judged(
    folder: Path, name: str, *, sharp: float, ids: range = range(280), order: int = 1, **more
):
    """A run's evaluate folder, over drawn scores; `sharp` is how much the model knows."""
    rng = np.random.default_rng(1)
    logits = rng.normal(size=(280, 4)) - sharp * np.abs(np.arange(4) - COUNTS[:, None])
    log_probs = logits - np.log(np.exp(logits).sum(axis=1, keepdims=True))
    rows = pa.table(
        {
            "photo_id": [f"{i:05d}" for i in ids],
            "fold": FOLDS,
            "group": [f"{i // 2:05d}" for i in ids],
            "count": pa.array(COUNTS, pa.int32()),
        }
    )
    scores = RunFolder.begin(folder / name / "score", about={"stage": "score"}, settings={})
    table = schema.table_of(rows, log_probs.astype(np.float32))[::order]
    write_table(scores.artifact("scores.parquet"), table, format=schema.FORMAT)
    scores.close("done", result={"counts_by_fold": {"train": {"1": 5, "2": 5}}})
    inputs = {"scores": {"address": str(scores.path), "fingerprint": scores.fingerprint}}
    about = {"stage": "evaluate", "inputs": inputs}
    photos = ingested(
        folder / name / "ingest",
        dict(zip(rows["photo_id"].to_pylist(), COUNTS.tolist(), strict=True)),
    )
    settings = {"fold": "test", "decode": "mode", "resamples": 100} | more
    run = RunFolder.begin(folder / name / "evaluate", about=about, settings=settings)
    given = EvaluateSettings(**settings)
    result = evaluate(photos=photos, scores=scores, settings=given, run=run)
    run.close("done", result={"accuracy": result.accuracy, "rmse": result.rmse})
    return run


def test_differences_are_those_of_the_scorecards(tmp_path):
    weak, strong = judged(tmp_path, "weak", sharp=0.5), judged(tmp_path, "strong", sharp=2)
    found = paired(weak, strong)

    assert list(found) == ["accuracy", "within_one", "rmse", "nll"]
    for name in ("accuracy", "rmse"):
        gain = strong.result()[name] - weak.result()[name]
        assert found[name].value == pytest.approx(gain)
    assert found["accuracy"].low > 0 and found["accuracy"].p < 0.01
    assert (found["accuracy"].n, found["accuracy"].groups) == (160, 80)


@pytest.mark.parametrize(
    "setting",
    [{"decode": "chosen", "decode_for": "within_one"}, {"mix": "1=0.8,2=0.2"}, {"counts": "1-2"}],
)
def test_answers_are_those_judged_however_they_were_made(tmp_path, setting):
    counts = {"counts": setting["counts"]} if "counts" in setting else {}
    plain = judged(tmp_path, "plain", sharp=0.5, **counts)
    other = judged(tmp_path, "other", sharp=0.3, **setting)
    found = paired(plain, other)

    cards = [ScoreCard.read(run.artifact("scorecard.json")) for run in (plain, other)]
    assert (cards[1].decode == "mode") is ("decode" not in setting)
    for figure in ("accuracy", "rmse", "within_one", "nll"):
        values = [card.metrics[figure].value for card in cards]
        assert found[figure].value == pytest.approx(values[1] - values[0], abs=1e-6)


def test_photos_are_paired_by_id_whatever_their_order(tmp_path):
    one = judged(tmp_path, "one", sharp=1)
    found = paired(one, judged(tmp_path, "same", sharp=1, order=-1))["accuracy"]

    assert (found.value, found.low, found.high, found.p) == (0, 0, 0, 1)


def test_runs_on_other_photos_are_refused(tmp_path):
    one = judged(tmp_path, "one", sharp=1)
    other = judged(tmp_path, "other", sharp=1, ids=range(40, 320))

    with pytest.raises(DataError, match=r"one and other .*160 and 160, 120 of them the same"):
        paired(one, other)


def test_a_run_whose_scores_are_gone_is_told(tmp_path):
    one, other = judged(tmp_path, "one", sharp=1), judged(tmp_path, "other", sharp=1)
    (tmp_path / "other" / "score" / "artifacts" / "scores.parquet").unlink()

    with pytest.raises(RunError, match="other.*score again"):
        paired(one, other)


def test_the_figures_are_of_calibrated_answers(tmp_path):
    run, other = judged(tmp_path, "one", sharp=0.5), judged(tmp_path, "two", sharp=2)
    values = []
    for each in (run, other):
        table = pq.read_table(each.path.parent / "score/artifacts/scores.parquet")
        rows = schema.of_folds(table, ["test"])
        raw = metrics.surprise(schema.matrix(rows), schema.counts(rows)).value
        values.append(raw)

    assert paired(run, other)["nll"].value != pytest.approx(values[1] - values[0], abs=1e-4)


def test_settings_of_another_version_are_a_clear_error(tmp_path):
    one, other = judged(tmp_path, "one", sharp=1), judged(tmp_path, "other", sharp=1)
    path = other.path / "settings.json"
    path.write_text(path.read_text().replace('"decode"', '"decoding"'))

    with pytest.raises(SettingsError, match=r"did you mean 'decode"):
        paired(one, other)
