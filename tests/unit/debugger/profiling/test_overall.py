import numpy as np
import pytest
from profiled import START, gpu_machine, loop

from stocktake.debugger import samples as known
from stocktake.debugger.profiling import find
from stocktake.debugger.profiling.overall import phase_times
from stocktake.debugger.samples import Profile, Span


def test_usage_of_each_machine_is_told_and_accuses_nobody():
    verdict = find("OverallSystemUsage").verdict(gpu_machine(gpu=1, cpu=30, rounds=50))

    assert verdict.status == "NoIssuesFound" and verdict.is_judged
    assert verdict.outcome.details["algo-1"][known.CPU]["p50"] == pytest.approx(30, abs=1)
    assert verdict.outcome.datapoints == 200


def test_time_of_each_phase_is_told_and_what_is_in_none():
    spans = loop(np.full(10, 0.1), wait=0.1)
    spans.append(Span(name="checkpoint", time=START + 9, duration_s=1.0))
    verdict = find("OverallFrameworkMetrics").verdict(Profile(spans=spans))
    train = verdict.outcome.details["train"]

    assert not verdict.outcome.troubles and train["steps"] == 10
    shares = {name: found["share"] for name, found in train["phases"].items()}
    assert shares == pytest.approx({"data wait": 10, "forward": 60, "other": 30})
    assert train["phases"]["forward"]["mean_ms"] == pytest.approx(60)
    outside = verdict.outcome.details["outside of steps"]["phases"]["checkpoint"]
    assert (outside["total_s"], outside["calls"]) == (1.0, 1.0)


def test_phases_inside_others_and_of_unfinished_steps_are_left_out():
    spans = loop(np.full(2, 0.1))
    spans.append(Span(name="loss", time=START + 1.02, duration_s=0.01, step=0, outer=False))
    spans.append(Span(name="data wait", time=START + 5, duration_s=7.0, step=2))

    times = phase_times(Profile(spans=spans), "train")
    assert "loss" not in times and times["data wait"]["total_s"] == pytest.approx(0.02)


def test_nothing_seen_is_nothing_told():
    for name in ("OverallSystemUsage", "OverallFrameworkMetrics"):
        assert find(name).verdict(Profile()).outcome.details == {}
