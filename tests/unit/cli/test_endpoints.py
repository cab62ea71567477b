import pytest

from stocktake.cli import endpoints
from stocktake.runs.endpoints import EndpointFolder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return endpoints.home()


def test_the_home_follows_the_environment_and_has_its_usual_place(home, tmp_path, monkeypatch):
    assert home == tmp_path / "stocktake/endpoints"

    monkeypatch.setenv("XDG_STATE_HOME", "")
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    assert endpoints.home() == tmp_path / "me/.local/state/stocktake/endpoints"


def test_no_endpoints_is_a_line_that_says_how_to_make_one(say, home):
    said = say("endpoints")

    assert said.code == 0 and "`stocktake deploy BUNDLE --name NAME` makes one" in said.out
    assert say("endpoints", "--json").json() == []


@pytest.mark.parametrize("word", ["show", "delete"])
def test_an_unknown_name_is_one_line(say, home, word):
    said = say("endpoints", word, "shelf")

    assert said.code == 2 and "there is no endpoint shelf; known: none" in said.err


def test_a_record_that_cannot_be_read_is_listed_shown_and_can_be_deleted(say, home):
    folder = EndpointFolder(home / "shelf")
    folder.path.mkdir(parents=True)
    (folder.path / "endpoint.json").write_text("{")

    listed, shown = say("endpoints"), say("endpoints", "show", "shelf")

    assert listed.code == shown.code == 0
    assert "Failed" in listed.out and "cannot be read" in shown.out
    assert say("endpoints", "delete", "shelf").out == "shelf is deleted\n"
    assert not folder.path.exists()
