import json
from pathlib import Path

import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.schema import scores as schema
from stocktake.schema.cards import ScoreCard
from stocktake.stages.evaluate import EvaluateSettings, evaluate, outside
from stocktake.store.tables import read_table

FITTED = {
    "temperature": 1.0,
    "coverage": 0.9,
    "threshold": 0.95,
    "fold": "calib",
    "n": 50,
    "max_count": 5,
}
"""A calibration as export puts it into a bundle."""


@pytest.fixture
def bundle(bundle_maker, tmp_path: Path) -> RunFolder:
    run = RunFolder.begin(tmp_path / "export", about={"stage": "export"}, settings={})
    bundle_maker(run.artifact("bundle"), calibration=FITTED, train_counts={"1": 5, "2": 9, "3": 1})
    return run


@pytest.fixture
def source(photo_of, tmp_path: Path) -> Path:
    """A folder as the dataset has it: 24 photos with counts 0 to 5, one of them wrong on record."""
    folder = tmp_path / "photos"
    for name in ("bin-images", "metadata"):
        (folder / name).mkdir(parents=True)
    for number in range(24):
        recorded = 4 if number == 7 else number % 6
        (folder / f"bin-images/{number:05d}.jpg").write_bytes(photo_of(number % 6))
        record = {"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": recorded}
        (folder / f"metadata/{number:05d}.json").write_text(json.dumps(record))
    (folder / "bin-images/00099.jpg").write_bytes(b"no photo")
    (folder / "metadata/00099.json").write_text(json.dumps(record))
    return folder


def judged(bundle: RunFolder, source: Path, **change: object):
    run = RunFolder.begin(source.parent / "evaluate", about={"stage": "evaluate"}, settings={})
    settings = EvaluateSettings(source=str(source), resamples=100, **change)
    return evaluate(bundle=bundle, settings=settings, run=run), run


def test_photos_never_seen_are_judged_in_one_go(bundle, source):
    result, run = judged(bundle, source)

    assert (result.n, result.accuracy) == (24, 23 / 24)
    assert result.majority_accuracy == 4 / 24, "always 2, the commonest in the bundle's training"
    card = ScoreCard.read(run.artifact("scorecard.json"))
    assert card.n == 24 and card.temperature == 1.0
    table = read_table(run.artifact("scores.parquet"), format=schema.FORMAT)
    schema.check(table)
    assert schema.counts(table).tolist().count(4) == 5
    rejects = read_table(run.artifact("rejects.parquet"), format="rejects/1").to_pylist()
    assert [row["photo_id"] for row in rejects] == ["00099"]


def test_only_the_counts_asked_for_are_taken(bundle, source):
    result, _ = judged(bundle, source, counts="1-3")

    assert result.n == 11


def test_what_the_source_lists_is_part_of_the_run(source):
    before = outside(EvaluateSettings(source=str(source)))
    (source / "bin-images/00000.jpg").unlink()

    assert outside(EvaluateSettings(source=str(source))) != before
    assert outside(EvaluateSettings()) == ""


def test_what_fresh_photos_cannot_give_is_refused(bundle, source, tmp_path):
    with pytest.raises(SettingsError, match="needs a val fold to choose on"):
        judged(bundle, source, decode="chosen")
    run = RunFolder.begin(tmp_path / "evaluate", about={"stage": "evaluate"}, settings={})
    with pytest.raises(SettingsError, match="source is empty"):
        evaluate(bundle=bundle, settings=EvaluateSettings(), run=run)


def test_a_bundle_that_hides_its_training_is_refused(bundle_maker, source, tmp_path):
    run = RunFolder.begin(tmp_path / "export", about={"stage": "export"}, settings={})
    bundle_maker(run.artifact("bundle"), calibration=FITTED)

    with pytest.raises(DataError, match="does not say the counts it was trained on"):
        judged(run, source)
