import json

import pytest


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return tmp_path / "stocktake" / "endpoints"


def test_none_says_how_to_make_one(say):
    said = say("endpoints")

    assert said.code == 0 and "stocktake deploy BUNDLE --name NAME" in said.out
    assert json.loads(say("endpoints", "--json").out) == []


@pytest.mark.parametrize("verb", ["show", "delete"])
def test_an_unknown_name_is_one_line(say, verb):
    said = say("endpoints", verb, "bins")

    assert said.code != 0 and "bins" in said.err and said.err.count("\n") == 1


def test_a_record_that_cannot_be_read_is_listed_as_failed(say, state):
    (state / "bins").mkdir(parents=True)
    (state / "bins" / "endpoint.json").write_text("{")

    (row,) = json.loads(say("endpoints", "--json").out)

    assert row["name"] == "bins" and row["status"] == "Failed" and row["why"]
