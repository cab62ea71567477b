from pathlib import Path

import pytest

from stocktake.debugger.profiler import Profiler
from stocktake.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path: Path) -> Path:
    made = RunFolder.begin(tmp_path / "demo/train", about={"stage": "train"}, settings={})
    with Profiler(made.path / "profiler-output") as profiler:
        for _ in profiler.watch([1, 2, 3]):
            with profiler("forward"):
                pass
    return tmp_path / "demo"


def test_the_page_is_written_and_its_rules_are_listed(say, run):
    said = say("profile", run)
    page = run / "train/rule-output/ProfilerReport/profiler-report.html"

    assert said.code == 0 and f"page: {page}" in said.out
    assert "3 training steps" in page.read_text() and "demo" in page.read_text()
    rows = {row["rule"]: row["status"] for row in say("profile", run, "--json").json()}
    assert rows["StepOutlier"] == "not judged" and "BatchSize" in rows


def test_parameters_can_be_set(say, run):
    assert say("profile", run, "--set", "StepOutlier.stddev=2.0").code == 0
    said = say("profile", run, "--set", "StepOutlier.stdev=2.0")
    assert said.code == 2 and "StepOutlier" in said.err and said.err.count("\n") == 1


def test_a_run_without_a_profile_says_so(say, tmp_path):
    (tmp_path / "demo/train/debug-output").mkdir(parents=True)
    said = say("profile", tmp_path / "demo")

    assert said.code == 4 and "profile = false leave none" in said.err
