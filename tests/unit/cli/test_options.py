from stocktake.cli import options


def test_stocktake_toml_here_is_the_usual_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "stocktake.toml").write_text("[paint]\nphotos = 3\n")

    assert options.plan_from(None, ()).table_of("paint") == {"photos": 3}


def test_without_a_file_defaults_and_set_words_are_enough(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    plan = options.plan_from(None, ("paint.photos=2",), name="try")

    assert [stage.name for stage in plan.stages()] == ["paint"]
    assert str(plan.path) == "runs/try"
