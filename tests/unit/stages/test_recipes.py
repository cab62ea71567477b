from pathlib import Path

import pytest

from stocktake.errors import SettingsError
from stocktake.stages import recipes
from stocktake.stages import run as driver


@pytest.mark.parametrize("name", recipes.names())
def test_every_recipe_is_a_whole_run_whose_settings_and_parts_hold(name):
    plan = driver.read_plan(recipes.file_of(Path(name)))
    driver.check_parts(plan)

    assert plan.name == name
    found = [stage.name for stage in plan.stages()]
    assert found == ["ingest", "explore", "split", "train", "score", "evaluate", "export"]
    assert recipes.about(name).startswith(f"{name}: ")


def test_a_file_comes_before_a_recipe(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert recipes.file_of(Path("report")).name == "report.toml"
    Path("report").write_text("")

    assert recipes.file_of(Path("report")) == Path("report")
    assert recipes.file_of(Path("mine.toml")) == Path("mine.toml")


def test_a_name_that_is_neither_gets_the_nearest_recipe():
    with pytest.raises(SettingsError, match="nor a recipe 'reprot'; did you mean 'rep"):
        recipes.file_of(Path("reprot"))
