import sys
from pathlib import Path

import pytest

from stocktake import __version__


def test_without_a_word_it_says_what_there_is(say):
    said = say()

    assert said.code == 0
    assert "paint" in said.out and "Way" not in said.err


def test_the_version_is_told(say):
    assert say("--version").out.strip() == f"stocktake {__version__}"


def test_a_fault_of_our_own_is_one_line_and_its_trace_a_file(say, monkeypatch):
    def broken(*args: object, **kwargs: object) -> None:
        raise KeyError("lost")

    monkeypatch.setattr("stocktake.cli.parts._parts_on", broken)
    said = say("parts", "head")

    assert said.code == 1
    assert said.err.count("\n") == 1 and "KeyError: 'lost'" in said.err
    trace = Path(said.err.rsplit("the trace is in ", 1)[1].strip())
    assert "Traceback" in trace.read_text()
    trace.unlink()


def test_a_library_that_is_not_installed_is_named_with_its_extra(say, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    monkeypatch.delitem(sys.modules, "stocktake.vision.heads", raising=False)
    said = say("parts", "head")

    assert said.code == 1
    assert "needs the library torch" in said.err and "stocktake[train]" in said.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["trian"], "there is no command 'trian'; did you mean 'train'?"),
        (["run", "none.toml"], "there is no settings file none.toml"),
        (["run", "--nmae", "x"], "no such option"),
        (["runs", "shw"], "did you mean 'show'"),
        (["split", "--set", "split.tset_frac=1"], "did you mean 'test_frac'?"),
        (["split", "--set", "splt.test_frac=1"], "did you mean 'split'?"),
        (["split", "--on", "lcal"], "there is no engine 'lcal'; did you mean 'local'?"),
    ],
)
def test_a_typing_mistake_is_one_line_and_exit_code_2(say, words, text, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    said = say(*words)

    assert said.code == 2
    assert said.err.startswith("error: ") and said.err.count("\n") == 1
    assert text.lower() in said.err.lower()
    assert list(tmp_path.iterdir()) == []
