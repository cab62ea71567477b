import json
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from stocktake.debugger import files
from stocktake.debugger.records import Row
from stocktake.runs.folder import RunFolder


def row(step: int, mode: Any, value: float, time: float) -> Row:
    return Row(
        step=step,
        mode=mode,
        name="loss",
        collection="losses",
        statistic="value",
        value=value,
        time=time,
    )


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Two epochs of two steps; the second one's validation loss is far above the training's."""
    settings = {"rules": ["Overfit", "AllZero"]}
    made = RunFolder.begin(tmp_path / "demo/train", about={"stage": "train"}, settings=settings)
    told = [("train", 1.0), ("train", 0.9), ("eval", 1.0), ("train", 0.5), ("train", 0.4)]
    count = {"train": 0, "eval": 0}
    rows = []
    for now, (mode, value) in enumerate([*told, ("eval", 2.0)]):
        rows.append(row(count[mode], mode, value, now + 1.0))
        count[mode] += 1
    record = made.path / "debug-output"
    record.mkdir()
    pq.write_table(files.table_of(rows), record / "part-000001-w0.parquet")
    (record / "end.json").write_text(json.dumps({"status": "done"}))
    made.close("done", result={})
    return tmp_path / "demo"


def status(said: Any) -> dict[str, str]:
    return {one["RuleConfigurationName"]: one["RuleEvaluationStatus"] for one in said.json()}


def test_the_rules_of_the_training_are_asked_if_none_are_named(say, run):
    said = say("debug", run, "--json")

    assert said.code == 0
    assert status(said) == {"Overfit": "IssuesFound", "AllZero": "NoIssuesFound"}


def test_people_see_a_table_and_a_line_for_each_issue(say, run):
    said = say("debug", run).out

    assert "IssuesFound" in said and "eval step 1" in said
    assert "Overfit at eval step 1: loss is 2 in validation" in said and "Stop earlier" in said


def test_a_rule_and_its_parameters_can_be_named(say, run):
    assert status(say("debug", run, "--rule", "Overtraining", "--json")).keys() == {"Overtraining"}
    loose = say("debug", run, "--set", "Overfit.ratio_threshold=9.0", "--json")
    assert status(loose) == {"Overfit": "NoIssuesFound"}
    assert len(status(say("debug", run, "--rule", "all", "--json"))) > 10


def test_a_training_that_has_ended_is_watched_to_its_end(say, run):
    said = say("debug", run, "--watch")

    assert said.code == 0 and "eval step 1: loss is 2" in said.err


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("--rule", "Overfi"), "did you mean 'Overfit'"),
        (("--set", "Overfit.ratio=1"), "has no parameter 'ratio'"),
        (("--set", "Overfit=1"), "--set takes RULE.PARAMETER=VALUE"),
        (("--profile-of", "mine"), "there is no profile 'mine'"),
    ],
)
def test_what_is_not_known_is_answered_in_one_line(say, run, words, text):
    said = say("debug", run, *words)

    assert said.code == 2 and text in said.err and said.err.count("\n") == 1


def test_a_run_without_a_record_says_so(say, tmp_path):
    said = say("debug", tmp_path / "nothing")

    assert said.code == 4 and "holds no debug-output" in said.err
