import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.schema import splits
from stocktake.stages import worker
from stocktake.stages.split import SplitSettings
from stocktake.store.tables import read_table


def split(bucket, **settings: float) -> RunFolder:
    folder = bucket.folder.parent / "run"
    source = {"source": str(bucket.folder)}
    ingest = Job(stage="ingest", settings=source, inputs={}, output=str(folder / "ingest"))
    photos = worker.run_job(ingest).path
    todo = Job(
        stage="split",
        settings=settings,
        inputs={"photos": str(photos)},
        output=str(folder / "split"),
    )
    return worker.run_job(todo)


def test_photos_get_folds_and_siblings_stay_together(bucket):
    for number in range(60):
        bucket.bin(f"{number * 10:05d}", **{f"A{number}": 1 + number % 3})
        bucket.bin(f"{number * 10 + 1:05d}", **{f"A{number}": 1})

    run = split(bucket, seed=4)

    table = read_table(run.artifact("split.parquet"), format=splits.FORMAT)
    splits.check(table)
    result = run.result()
    assert result["photos_by_fold"] == {"train": 78, "val": 12, "calib": 12, "test": 18}
    assert (result["groups"], result["siblings"], result["largest_group"]) == (60, 120, 2)
    assert sum(result["counts_by_fold"]["test"].values()) == 18


def test_too_few_photos_are_told(bucket):
    bucket.bin("00001", A=1)
    bucket.bin("00002", B=1)

    with pytest.raises(DataError, match="would get none of 2 photos"):
        split(bucket)


def test_one_great_chain_is_warned_of(bucket):
    for number in range(40):
        bucket.photo(f"{number:05d}")
        bucket.record(f"{number:05d}", {}, count=2)
    for number in range(100, 180, 10):
        bucket.bin(f"{number:05d}", A=2)

    run = split(bucket)

    (warning,) = [line for line in run.lines() if line["level"] == "warning"]
    assert "40 of 48 photos are one chain of siblings, from 00000" in warning["message"]


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"test_frac": 3.0}, r"split\.test_frac must be between 0 and 1, got 3\.0"),
        ({"val_frac": 0}, r"split\.val_frac must be between 0 and 1, got 0"),
        (
            {"val_frac": 0.4, "calib_frac": 0.4, "test_frac": 0.2},
            "must leave photos to train on, but sum to 1.00",
        ),
    ],
)
def test_settings_are_checked(settings, told):
    with pytest.raises(SettingsError, match=told):
        reader.build(SplitSettings, settings, where="split")
