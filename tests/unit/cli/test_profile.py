import pytest

from stocktake.runs.folder import RunFolder


@pytest.fixture
def run(tmp_path):
    """A finished train run that was profiled for a moment."""
    import time

    from stocktake.debugger.profiler import Profiler

    about = {"stage": "train", "fingerprint": "x", "inputs": {}}
    made = RunFolder.begin(tmp_path / "runs" / "demo" / "train", about=about, settings={})
    with Profiler(made.path / "profiler-output", interval_s=0.1) as profiler:
        for _ in profiler.watch(range(3)):
            with profiler("forward"):
                time.sleep(0.05)
    made.close("done", result={})
    return made


def test_the_page_is_written_and_what_rules_found_is_said(say, run):
    said = say("profile", run.path.parent)

    assert said.code == 0 and "profiler-report.html" in said.out and "StepOutlier" in said.out
    assert list(run.path.rglob("profiler-report.html"))


def test_an_unknown_parameter_is_one_line(say, run):
    said = say("profile", run.path.parent, "--set", "CPUBottleneck.treshold=40")

    assert said.code == 2 and "threshold" in said.err and said.err.count("\n") == 1


def test_a_run_that_is_not_there_is_one_line(say, tmp_path):
    said = say("profile", tmp_path / "nowhere")

    assert said.code != 0 and "nowhere" in said.err and "Traceback" not in said.err
