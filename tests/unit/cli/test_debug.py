import json

import pytest

from stocktake.debugger import files
from stocktake.debugger.records import Row


@pytest.fixture
def record(tmp_path):
    """The record of a training whose loss does not fall."""
    import pyarrow.parquet as pq

    rows = [
        Row(
            step=step, mode="train", name="loss", collection="losses", statistic="value",
            value=2.0, time=float(step),
        )
        for step in range(60)
    ]  # fmt: skip
    folder = tmp_path / "debug-output"
    folder.mkdir()
    pq.write_table(files.table_of(rows), folder / "part-000001-w0.parquet")
    (folder / "end.json").write_text(json.dumps({"status": "done", "workers": 1}))
    return folder


def test_a_record_is_judged_by_the_rule_asked_for(say, record):
    said = say("debug", record, "--rule", "LossNotDecreasing", "--profile-of", "client", "--json")

    (row,) = said.json()
    assert said.code == 0 and row["RuleEvaluationStatus"] == "IssuesFound"
    assert row["rule"] == "LossNotDecreasing" and row["first"]["mode"] == "train"


def test_people_get_a_table_and_the_advice(say, record):
    said = say("debug", record, "--rule", "LossNotDecreasing", "--rule", "AllZero")

    assert said.code == 0 and "IssuesFound" in said.out and "NoIssuesFound" in said.out


def test_an_unknown_rule_is_answered_with_the_nearest(say, record):
    said = say("debug", record, "--rule", "Overfitt")

    assert said.code == 2 and "Overfit" in said.err and said.err.count("\n") == 1


def test_an_unknown_parameter_is_answered_with_the_nearest(say, record):
    said = say("debug", record, "--set", "Overfit.patiense=2")

    assert said.code == 2 and "did you mean 'patience'?" in said.err


def test_a_word_that_names_no_rule_is_refused(say, record):
    said = say("debug", record, "--set", "patience=2")

    assert said.code == 2 and "RULE.PARAMETER=VALUE" in said.err


def test_a_run_that_is_not_there_is_one_line(say, tmp_path):
    said = say("debug", tmp_path / "nowhere")

    assert said.code != 0 and "nowhere" in said.err and "Traceback" not in said.err
