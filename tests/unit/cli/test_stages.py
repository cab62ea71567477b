import pytest

from stocktake.errors import DataError
from stocktake.stages import run as driver


def test_a_stage_command_makes_its_stage_and_prints_the_result(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ["paint", "--set", "paint.photos=2", "--set", "paint.processes=1", "--json"]
    said = say(*words)

    assert said.code == 0
    assert said.json()["photos"] == 2
    assert (tmp_path / "runs/default/paint/artifacts/bucket/bin-images/00001.jpg").exists()
    assert "paint     is done already" in say(*words).err


def test_a_stage_without_its_input_names_the_command_that_makes_it(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = say("split")

    assert said.code == 4
    assert "split needs photos at runs/default/ingest" in said.err
    assert "`stocktake ingest` makes it" in said.err


@pytest.mark.parametrize("stage", ["predict", "evaluate"])
def test_a_folder_of_photos_stands_where_a_file_would(say, tmp_path, monkeypatch, stage):
    seen = []

    def made(plan, stage, engine, *, watch):
        seen.append((plan.table_of(stage.name), plan.job(stage).inputs))
        raise DataError("enough")

    monkeypatch.setattr(driver, "make", made)
    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    say(stage, "photos", "--bundle", "abid")
    say(stage, "s3://bucket/some", "--bundle", "abid")

    assert [table for table, _ in seen] == [{"source": "photos"}, {"source": "s3://bucket/some"}]
    assert [set(inputs) for _, inputs in seen] == [{"bundle"}, {"bundle"}]


def test_evaluating_a_folder_wants_a_bundle(say, tmp_path):
    said = say("evaluate", str(tmp_path))

    assert said.code == 2
    assert "evaluate of a folder needs --bundle RUN" in said.err


def test_a_folder_that_is_not_there_is_not_taken_for_a_settings_file(say):
    said = say("predict", "no/such/folder", "--bundle", "abid")

    assert said.code == 2
    assert "neither a settings file nor a folder of photos no/such/folder" in said.err
