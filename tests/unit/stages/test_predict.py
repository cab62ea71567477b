import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.schema import predictions
from stocktake.stages.predict import PredictSettings, outside, predict
from stocktake.store.tables import read_table
from stocktake.testing import samples


def begun(path: Path, stage: str) -> RunFolder:
    return RunFolder.begin(path, about={"stage": stage, "fingerprint": stage}, settings={})


@pytest.fixture
def bundle(tmp_path: Path, bundle_maker) -> RunFolder:
    run = begun(tmp_path / "export", "export")
    bundle_maker(run.artifact("bundle"))
    run.close("done", result={})
    return run


@pytest.fixture
def source(tmp_path: Path, photo_of) -> Path:
    """The bucket's layout, with one photo cut short and things that are no photos."""
    folder = tmp_path / "bucket"
    (folder / "bin-images").mkdir(parents=True)
    (folder / "metadata").mkdir()
    for i in range(20):
        (folder / "bin-images" / f"{i:05d}.jpg").write_bytes(photo_of(i % 6))
        (folder / "metadata" / f"{i:05d}.json").write_text("{}")
    (folder / "bin-images" / "00007.jpg").write_bytes(photo_of(1)[:-20])
    (folder / "extra").mkdir()
    (folder / "extra" / "00001.PNG").write_bytes(photo_of(5, kind="PNG"))
    (folder / "extra" / "empty.webp").touch()
    return folder


def rows_of(run: RunFolder) -> list[dict]:
    table = read_table(run.artifact("predictions.parquet"), format=predictions.FORMAT)
    return table.to_pylist()


def test_every_photo_below_the_source_has_exactly_one_row(bundle, source, tmp_path):
    run = begun(tmp_path / "predict", "predict")

    result = predict(bundle=bundle, settings=PredictSettings(source=str(source)), run=run)

    rows = rows_of(run)
    by_source = {row["source"]: row for row in rows}
    assert len(rows) == len(by_source) == result.photos == 22
    assert by_source["bin-images/00004.jpg"]["count"] == 4
    assert by_source["bin-images/00004.jpg"]["photo_id"] == "00004"
    assert by_source["extra/00001.PNG"]["count"] == 5
    assert all(row["bundle"] == result.bundle for row in rows)


def test_a_photo_that_cannot_be_read_keeps_its_row_and_its_reason(bundle, source, tmp_path):
    (source / "gone.jpg").symlink_to(source / "nowhere.jpg")
    run = begun(tmp_path / "predict", "predict")

    result = predict(bundle=bundle, settings=PredictSettings(source=str(source)), run=run)

    errors = {row["source"]: row["error"] for row in rows_of(run) if row["error"]}
    assert set(errors) == {"bin-images/00007.jpg", "extra/empty.webp", "gone.jpg"}
    assert "cut short" in errors["bin-images/00007.jpg"] and "empty" in errors["extra/empty.webp"]
    assert result.failed == 3
    assert [line["level"] for line in run.lines()] == ["warning"]


def test_the_figures_of_the_result_are_those_of_the_rows(bundle, source, tmp_path):
    run = begun(tmp_path / "predict", "predict")

    result = predict(bundle=bundle, settings=PredictSettings(source=str(source)), run=run)

    counts = [row["count"] for row in rows_of(run) if row["count"] is not None]
    assert result.total == sum(counts)
    assert result.mean_count == pytest.approx(sum(counts) / len(counts), abs=1e-4)
    assert 0 < result.mean_confidence <= 1


def test_the_answers_do_not_depend_on_the_batch_size(bundle, source, tmp_path):
    tables = []
    for size in (1, 7, 100):
        run = begun(tmp_path / f"predict-{size}", "predict")
        settings = PredictSettings(source=str(source), batch_size=size)
        predict(bundle=bundle, settings=settings, run=run)
        tables.append(rows_of(run))

    assert tables[0] == tables[1] == tables[2]


def test_the_limit_takes_the_first_by_name(bundle, source, tmp_path):
    run = begun(tmp_path / "predict", "predict")

    predict(bundle=bundle, settings=PredictSettings(source=str(source), limit=3), run=run)

    assert [row["photo_id"] for row in rows_of(run)] == ["00000", "00001", "00002"]


def test_a_source_of_bad_photos_only_is_counted_as_such(bundle, tmp_path):
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "a.jpg").write_bytes(b"no photo")
    run = begun(tmp_path / "predict", "predict")

    result = predict(bundle=bundle, settings=PredictSettings(source=str(tmp_path / "bad")), run=run)

    assert (result.photos, result.failed, result.mean_count) == (1, 1, None)


def test_a_changed_source_is_another_fingerprint(source):
    settings = PredictSettings(source=str(source))
    before = outside(settings)

    assert outside(settings) == before
    os.utime(source / "bin-images" / "00003.jpg", (1, 1))
    assert outside(settings) != before
    (source / "metadata" / "00003.json").unlink()
    after = outside(settings)
    (source / "bin-images" / "00003.jpg").unlink()
    assert outside(settings) != after


@pytest.mark.parametrize("name", ["", "nowhere", "empty"])
def test_a_source_without_photos_is_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()
    settings = PredictSettings(source=str(tmp_path / name) if name else "")

    with pytest.raises((SettingsError, DataError)) as caught:
        outside(settings)

    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("change", [{"batch_size": 0}, {"limit": -1}, {"threads": -1}])
def test_impossible_settings_are_refused(change):
    with pytest.raises(ValueError, match=next(iter(change))):
        PredictSettings(**change)


def test_predicting_needs_no_torch(bundle, source, tmp_path):
    code = (
        "import sys; from pathlib import Path\n"
        "from stocktake.runs.folder import RunFolder\n"
        "from stocktake.stages.predict import PredictSettings, predict\n"
        f"run = RunFolder.begin(Path({str(tmp_path / 'predict')!r}), about={{}}, settings={{}})\n"
        f"predict(bundle=RunFolder(Path({str(bundle.path)!r})), run=run,\n"
        f"        settings=PredictSettings(source={str(source)!r}))\n"
        "print('torch' in sys.modules)"
    )
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert out.stdout.strip() == "False"


def bytes_of(run: RunFolder) -> bytes:
    return run.artifact("predictions.parquet").read_bytes()


class Stopped(Exception):
    pass


@pytest.mark.parametrize("at", [1, 250, 600])
def test_a_call_cut_off_goes_on_and_ends_with_the_very_bytes(bundle, tmp_path, photo_of, at):
    folder = tmp_path / "many"
    folder.mkdir()
    for i in range(601):
        (folder / f"{i:04d}.jpg").write_bytes(photo_of(i % 6))
    (folder / "0300.jpg").write_bytes(b"no photo")
    settings = PredictSettings(source=str(folder), batch_size=100)
    calm, cut = begun(tmp_path / "calm", "predict"), begun(tmp_path / "cut", "predict")
    whole = predict(bundle=bundle, settings=settings, run=calm)

    def stop(done: int, total: int | None, what: str) -> None:
        if done >= at:
            raise Stopped

    cut.listener = stop
    with pytest.raises(Stopped):
        predict(bundle=bundle, settings=settings, run=cut)
    cut.listener = None
    result = predict(bundle=bundle, settings=settings, run=cut)

    kept = [line["answers_kept"] for line in cut.lines() if line["message"] == "going on"]
    assert kept == {1: [], 250: [200], 600: [600]}[at]
    assert bytes_of(cut) == bytes_of(calm)
    assert replace(result, photos_per_s=0) == replace(whole, photos_per_s=0)
    assert not list(cut.path.glob("artifacts/.*"))


def test_a_source_that_changed_in_between_is_answered_anew(bundle, source, tmp_path, photo_of):
    run = begun(tmp_path / "predict", "predict")
    settings = PredictSettings(source=str(source), batch_size=5)
    before = predict(bundle=bundle, settings=settings, run=run)
    (source / "bin-images" / "00005.jpg").write_bytes(photo_of(0))
    after = predict(bundle=bundle, settings=settings, run=run)

    assert after.total == before.total - 5
    assert not [line for line in run.lines() if line["message"] == "going on"]


def test_photos_of_an_ingest_are_answered_as_those_it_was_made_from(bundle, tmp_path):
    photos = samples.photos_run(tmp_path / "demo" / "ingest", photos=230)
    folder = tmp_path / "loose" / "bin-images"
    folder.mkdir(parents=True)
    for number in range(230):
        jpeg = samples.squares(number % 4, seed=number)
        (folder / f"{number:05d}.jpg").write_bytes(jpeg)
    tables = []
    for name, place in {"shards": photos.path.parent, "files": folder.parent}.items():
        run = begun(tmp_path / name, "predict")
        predict(bundle=bundle, settings=PredictSettings(source=str(place)), run=run)
        tables.append(rows_of(run))

    assert len(tables[0]) == 230
    assert tables[0] == tables[1]
