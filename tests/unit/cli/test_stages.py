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
