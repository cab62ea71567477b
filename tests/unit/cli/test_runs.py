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


def made(folder, run: str, stage: str, **settings) -> None:
    RunFolder.begin(folder / run / stage, about={"stage": stage}, settings=settings).close("done")


def compared(say, folder, *names: str) -> dict[str, list[str]]:
    """What `runs compare` says of settings: the words after each one's name."""
    out = say("runs", "compare", *names, "--folder", folder).out
    blocks = [block for block in out.split("\n\n") if block.startswith("setting ")]
    lines = "".join(blocks).splitlines()
    assert all(len(line) <= 80 for line in lines)
    rows = [line.split() for line in lines]
    return {row[0]: row[1:] for row in rows}


def test_runs_are_compared_with_the_settings_of_every_stage_that_differ(say, folder):
    for run, kind, loss in (("a", "siblings", "poisson"), ("b", "random", "soft-labels")):
        made(folder, run, "split", kind=kind, seed=0)
        made(folder, run, "tune", space={"lr": 1, "loss": {"name": loss}}, trials=2)

    found = compared(say, folder, "a", "b")
    assert list(found) == [
        "setting", "split.kind", "tune.space.loss.name", "train.lr", "evaluate.lr", "export",
    ]  # fmt: skip
    assert found["setting"] == ["a", "b"] and found["split.kind"] == ["siblings", "random"]
    assert found["tune.space.loss.name"] == ["poisson", "soft-labels"]
    assert found["train.lr"] == ["0.1", "0.2"] and found["export"] == ["-", "made"]


def test_close_numbers_and_empty_words_are_told_apart(say, folder):
    made(folder, "a", "split", test_frac=0.150001, keep="", whole=True)
    made(folder, "b", "split", test_frac=0.150002, keep="runs/x", whole=False)

    found = compared(say, folder, "a", "b")
    assert found["split.test_frac"] == ["0.150001", "0.150002"]
    assert found["split.keep"] == ['""', "runs/x"] and found["split.whole"] == ["true", "false"]


def test_long_texts_are_cut_where_they_do_not_differ(say, folder):
    for run in "ab":
        made(folder, run, "ingest", source=f"/a/long/way/to/the/photos/of/run/{run}/{'x' * 60}")
    made(folder, "c", "ingest", source="s3://b")

    two, three = compared(say, folder, "a", "b"), compared(say, folder, "a", "b", "c")
    assert [text[:4] for text in two["ingest.source"]] == ["\u2026a/x", "\u2026b/x"]
    assert three["ingest.source"][2] == "s3://b" and three["train"] == ["made", "made", "-"]


def test_equal_runs_have_no_settings_to_show(say, folder):
    assert compared(say, folder, "a", "a") == {}


def test_a_comparison_for_programs_has_every_setting(say, folder):
    rows = say("runs", "compare", "a", "b", "--folder", folder, "--json").json()

    assert rows[0]["accuracy"] == 0.4 and rows[1]["settings"]["train"] == {"lr": 0.2, "seed": 0}


def test_an_unknown_run_is_answered_with_the_nearest(say, folder):
    said = say("runs", "show", "aa", "--folder", folder)

    assert said.code == 4 and "did you mean 'a'?" in said.err


def test_a_missing_folder_is_one_line(say, tmp_path):
    said = say("runs", "list", "--folder", tmp_path / "none")

    assert said.code == 4 and "there is no folder" in said.err


def test_runs_without_scores_are_compared_all_the_same(say, folder):
    out = say("runs", "compare", "a", "b", "--folder", folder).out

    assert "no pairs: " in out and "score again" in out
    cards = say("runs", "compare", "a", "b", "--folder", folder, "--json").json()
    assert cards[0]["paired"] is None and "score again" in cards[1]["paired"]


def test_runs_on_the_same_photos_are_compared_in_pairs(say, folder, monkeypatch):
    from stocktake.measure.paired import Difference
    from stocktake.stages import compare

    gain = Difference(value=0.05, low=0.01, high=0.09, p=0.004, n=160, groups=80)
    monkeypatch.setattr(compare, "paired", lambda first, second: {"accuracy": gain})
    out = say("runs", "compare", "a", "b", "--folder", folder).out

    assert "b less a" in out
    row = next(line for line in out.splitlines() if line.startswith("accuracy "))
    assert row.split() == ["accuracy", "0.05", "0.01", "0.09", "0.004", "160", "80"]
