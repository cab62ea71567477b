import pytest


@pytest.fixture(autouse=True)
def state(tmp_path, monkeypatch):
    """A state folder of the test's own."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def test_several_photos_are_for_an_endpoint(say, tmp_path):
    said = say("predict", tmp_path / "a.jpg", tmp_path / "b.jpg")

    assert said.code == 2 and "--endpoint NAME" in said.err


def test_an_endpoint_needs_photos(say):
    said = say("predict", "--endpoint", "bins")

    assert said.code == 2 and "name their files" in said.err


def test_an_endpoint_takes_no_settings(say, tmp_path):
    said = say("predict", "--endpoint", "bins", tmp_path / "a.jpg", "--set", "predict.limit=1")

    assert said.code == 2 and "nothing else" in said.err


def test_an_unknown_endpoint_is_one_line(say, tmp_path):
    said = say("predict", "--endpoint", "bins", tmp_path / "a.jpg")

    assert said.code != 0 and "bins" in said.err and "Traceback" not in said.err
