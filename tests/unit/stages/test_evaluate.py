import json
from collections import Counter
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from drawn import ingested

from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores as schema
from stocktake.schema.cards import Calibration, ScoreCard
from stocktake.stages.evaluate import EvaluateSettings, evaluate
from stocktake.store.tables import read_table, write_table

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
    ids = rows["photo_id"].to_pylist()
    ingested(path.parent / "ingest", dict(zip(ids, counts.tolist(), strict=True)))
    table = schema.table_of(rows, log_probs.astype(np.float32))
    write_table(run.artifact("scores.parquet"), table, format=schema.FORMAT)
    run.close("done", result={"counts_by_fold": {"train": TRAIN}} if result is None else result)
    return run


def evaluated(scores: RunFolder, path: Path, **settings):
    run = begun(path, "evaluate")
    photos = RunFolder(scores.path.parent / "ingest")
    given = EvaluateSettings(resamples=100, **settings)
    made = evaluate(photos=photos, scores=scores, settings=given, run=run)
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


def card_of(run: RunFolder) -> ScoreCard:
    return ScoreCard.read(run.artifact("scorecard.json"))


def test_the_decoding_is_chosen_on_val_whatever_the_judged_fold_says(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES | {"val": 60})
    result, run = evaluated(scores, tmp_path / "e", decode="chosen", decode_for="mae")
    card = card_of(run)
    on_val = card_of(evaluated(scores, tmp_path / "on-val", fold="val")[1])

    figures = {way: found["mae"].value for way, found in on_val.decodings.items()}
    assert card.choice.values == pytest.approx(figures)
    assert result.decode == card.decode == min(figures, key=figures.get)
    assert (result.chosen_for, card.choice.fold, card.choice.n) == ("mae", "val", 60)
    assert result.mae == card.decodings[card.decode]["mae"].value


def test_a_choice_without_a_val_fold_says_what_is_missing(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)

    with pytest.raises(DataError, match="no photo of the val fold, only calib 120, test 160"):
        evaluated(scores, tmp_path / "evaluate", decode="chosen")


def test_slices_part_the_judged_photos_by_each_trait(tmp_path):
    _, run = evaluated(scored(tmp_path / "score", sizes=SIZES), tmp_path / "evaluate")
    slices = card_of(run).slices

    photos = Counter()
    for one in slices:
        photos[one.name] += one.n
        assert set(one.metrics) == {"accuracy", "within_one", "rmse"}
    assert len(photos) == 6 and set(photos.values()) == {160}
    assert [one.label for one in slices if one.name == "true count"] == ["1", "2", "3"]
    assert [one.label for one in slices if one.name == "id"][0] == "120 to 151"
    assert sum(one.name.startswith("item size") for one in slices) == 4


def test_scores_of_other_photos_are_refused(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)
    ingested(tmp_path / "ingest", {"00001": 1})

    with pytest.raises(DataError, match="160 of 160 scored photos are not among"):
        evaluated(scores, tmp_path / "evaluate")


def test_limited_to_some_counts_the_others_are_neither_judged_nor_answered(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)
    result, run = evaluated(scores, tmp_path / "evaluate", counts="1-2")
    card = card_of(run)
    whole, plain = evaluated(scores, tmp_path / "plain")

    assert card.counts == "1-2" and [row.count for row in card.per_count] == [1, 2]
    assert result.n < whole.n and card.calibration.n < 120
    answered = np.array(card.confusion).sum(axis=0)
    assert answered[0] == answered[3] == 0 < answered[1:3].min()
    assert card.baselines["frequency"].metrics["nll"].value < 0.8  # of two counts, not three
    assert result.temperature == card.calibration.temperature != whole.temperature
    files = [one.artifact("calibration.json").read_bytes() for one in (run, plain)]
    assert files[0] == files[1]  # what is served is served without the limit


@pytest.mark.parametrize(
    "setting", [{"counts": "1-2"}, {"counts": "1-2", "mix": "1=0.8,2=0.2"}, {}]
)
def test_a_card_alone_tells_how_its_answers_are_made(tmp_path, setting):
    """What a reader of the card needs to make the judged answers again, without the settings."""
    scores = scored(tmp_path / "score", sizes=SIZES)
    card = card_of(evaluated(scores, tmp_path / "evaluate", **setting)[1])
    table = schema.of_folds(
        read_table(scores.artifact("scores.parquet"), format=schema.FORMAT), ["test"]
    )
    judged = np.isin(schema.counts(table), [row.count for row in card.per_count])
    log_probs = schema.matrix(table)[judged] / card.temperature
    log_probs += np.array([-np.inf if a is None else a for a in card.shift] or 0.0)

    right = log_probs.argmax(axis=1) == schema.counts(table)[judged]
    assert right.mean() == pytest.approx(card.metrics["accuracy"].value)
    assert len(card.shift) == (4 if setting else 0)


@pytest.mark.parametrize(
    ("counts", "told"),
    [("7", "train fold has no photo .* only 1, 2, 3"), ("3", "test fold .* only 1, 2")],
)
def test_counts_that_nobody_has_are_told(tmp_path, counts, told):
    scores = scored(tmp_path / "score", sizes=SIZES)
    path = scores.artifact("scores.parquet")
    table = read_table(path, format=schema.FORMAT)
    few = pc.or_(pc.less(table["count"], 3), pc.equal(table["fold"], "calib"))
    write_table(path, table.filter(few), format=schema.FORMAT)

    with pytest.raises(DataError, match=told):
        evaluated(scores, tmp_path / "evaluate", counts=counts)


def test_another_mix_is_expected_in_every_answer(tmp_path):
    scores = scored(tmp_path / "score", sizes=SIZES)
    plain, first = evaluated(scores, tmp_path / "plain", mix="train")
    result, run = evaluated(scores, tmp_path / "evaluate", mix="1=0.5,3=0.5")
    card = card_of(run)

    assert card_of(first).mix == "" and card.mix == "1=0.5,3=0.5"
    answered = np.array(card.confusion).sum(axis=0)
    assert answered[0] == answered[2] == 0
    assert result.temperature == plain.temperature and card.n == 160


@pytest.mark.parametrize(
    ("setting", "told"),
    [
        ({"fold": "calib"}, "fold must be"),
        ({"coverage": 90}, "coverage must be between 0 and 1"),
        ({"resamples": 3}, "100 or more"),
        ({"decode": "max"}, "decode must be"),
        ({"seed": -1}, "seed must be 0"),
        ({"decode_for": "nll"}, 'decode_for must be "accuracy", .* or "mae"'),
        ({"decode": "chosen", "fold": "val"}, "chosen on the val fold"),
        ({"counts": "5-1"}, "counts must be"),
        ({"mix": "1=2"}, "mix must sum to 1"),
    ],
)
def test_impossible_settings_are_refused(setting, told):
    with pytest.raises(ValueError, match=told):
        EvaluateSettings(**setting)
