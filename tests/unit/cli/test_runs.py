import pytest

from stocktake.runs.folder import RunFolder


@pytest.fixture
def folder(tmp_path):
    for name, accuracy, lr in (("a", 0.4, 0.1), ("b", 0.5, 0.2)):
        for stage, result in (("train", {}), ("evaluate", {"accuracy": accuracy, "n": 10})):
            path = tmp_path / "runs" / name / stage
            run = RunFolder.begin(path, about={"stage": stage}, settings={"lr": lr, "seed": 0})
            run.close("done", result=result)
    failed = RunFolder.begin(
        tmp_path / "runs" / "b" / "export", about={"stage": "export"}, settings={}
    )
    failed.close("failed", error={"kind": "DataError", "message": "it differs"})
    return tmp_path / "runs"


def test_runs_are_listed_with_their_accuracy(say, folder):
    rows = say("runs", "list", "--folder", folder, "--json").json()

    assert [(row["run"], row["accuracy"]) for row in rows] == [("a", 0.4), ("b", 0.5)]
    assert "2 done, export failed" in say("runs", "list", "--folder", folder).out


def test_a_run_is_shown_with_its_error(say, folder):
    assert "error: it differs" in say("runs", "show", "b", "--folder", folder).out


def test_runs_are_compared_with_the_settings_that_differ(say, folder):
    out = say("runs", "compare", "a", "b", "--folder", folder).out

    assert "train.lr: 0.1 | 0.2" in out and "seed" not in out


def test_an_unknown_run_is_answered_with_the_nearest(say, folder):
    said = say("runs", "show", "aa", "--folder", folder)

    assert said.code == 4 and "did you mean 'a'?" in said.err


def test_a_missing_folder_is_one_line(say, tmp_path):
    said = say("runs", "list", "--folder", tmp_path / "none")

    assert said.code == 4 and "there is no folder" in said.err
