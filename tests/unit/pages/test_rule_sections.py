import json
from pathlib import Path
from typing import Any

from stocktake.pages import page, rule_sections
from stocktake.pages.standing import read_stages
from stocktake.runs.folder import RunFolder


def verdict(folder: Path, rule: str, **change: Any) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    row = {
        "RuleConfigurationName": rule,
        "RuleEvaluationStatus": "NoIssuesFound",
        "StatusDetails": "",
        "advice": "",
        "first": None,
    }
    (folder / f"{rule}.json").write_text(json.dumps(row | change))


def trained(folder: Path) -> Path:
    RunFolder.begin(folder / "train", about={"stage": "train"}, settings={})
    return folder / "train" / "rule-output"


FOUND = {
    "RuleEvaluationStatus": "IssuesFound",
    "StatusDetails": "loss is <b>2</b>",
    "advice": "Stop earlier.",
    "first": {"mode": "eval", "step": 3},
}


def test_rules_that_found_something_come_first_with_step_and_advice(tmp_path):
    rules = trained(tmp_path)
    verdict(rules, "AllZero")
    verdict(rules, "Overfit", **FOUND)
    (rules / "ProfilerReport").mkdir()
    (rules / "ProfilerReport" / "profiler-report.html").touch()
    facts = rule_sections.rules(read_stages(tmp_path))
    assert facts is not None
    text = page.render("rules.html", **facts)

    assert [row["rule"] for row in facts["rows"]] == ["Overfit", "AllZero"]
    assert "eval 3" in text and "Stop earlier." in text and "nothing found" in text
    assert "loss is &lt;b&gt;2&lt;/b&gt;" in text
    assert "train/rule-output/ProfilerReport/profiler-report.html" in text
    assert "<th>member</th>" not in text


def test_of_several_members_each_has_its_rows(tmp_path):
    rules = trained(tmp_path)
    verdict(rules / "member-1", "Overfit")
    verdict(rules / "member-2", "Overfit", **FOUND)
    facts = rule_sections.rules(read_stages(tmp_path))
    assert facts is not None

    assert [(row["member"], row["status"]) for row in facts["rows"]] == [
        ("1", "NoIssuesFound"),
        ("2", "IssuesFound"),
    ]
    assert "<th>member</th>" in page.render("rules.html", **facts)


def test_without_rules_there_is_no_section(tmp_path):
    trained(tmp_path)

    assert rule_sections.rules(read_stages(tmp_path)) is None
