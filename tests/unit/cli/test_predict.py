"""What --endpoint adds; the rest of the command is the stage's, in test_stages.py."""

import pytest


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["one.jpg", "two.jpg"], "several photos are for --endpoint NAME"),
        (["--endpoint", "shelf"], "--endpoint needs photos"),
        (["--endpoint", "shelf", "a.jpg", "--bundle", "abid"], "takes photos and --json"),
        (["--endpoint", "shelf", "a.jpg", "--set", "predict.limit=1"], "takes photos and --json"),
        (["--endpoint", "shelf", "a.jpg"], "there is no endpoint shelf; known: none"),
    ],
)
def test_words_that_do_not_go_together_are_one_line(say, tmp_path, monkeypatch, words, says):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    said = say("predict", *words)

    assert said.code == 2 and says in said.err and said.out == ""


def test_without_an_endpoint_it_is_the_stage(say, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)

    assert "predict needs bundle at" in say("predict").err
