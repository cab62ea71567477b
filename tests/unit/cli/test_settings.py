import tomllib


def test_what_is_shown_is_toml_with_the_defaults(say):
    out = say("settings", "show", "split").out

    assert "seed" in tomllib.loads(out)["split"]


def test_every_stage_is_shown(say):
    assert set(tomllib.loads(say("settings", "show").out)) >= {"paint", "split", "evaluate"}


def test_check_says_what_run_will_do(say, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[split]\n[paint]\nphotos = 3\n")
    said = say("settings", "check", file)

    assert said.out == "run runs/a: paint -> split; settings are right\n"


def test_check_refuses_what_run_would_refuse(say, tmp_path):
    file = tmp_path / "a.toml"
    file.write_text("[paint]\nphotos = 'many'\n")

    assert say("settings", "check", file).code == 2


def test_check_looks_parts_up_too(say):
    said = say("settings", "check", "--set", "train.head=sofmax")

    assert said.code == 2 and "did you mean 'softmax'?" in said.err


def test_resolved_settings_come_as_json(say):
    found = say("settings", "check", "--set", "paint.photos=3", "--json").json()

    assert found["stages"]["paint"]["photos"] == 3
