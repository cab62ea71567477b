import numpy as np
import pytest

from stocktake.debugger.errors import RuleError
from stocktake.debugger.profiling import RULES, find, names, profiler_rule, scans, too_few
from stocktake.debugger.samples import Profile

CLIENT = {
    "BatchSize": {
        "cpu_threshold_p95": 70, "gpu_threshold_p95": 70, "gpu_memory_threshold_p95": 70,
        "patience": 1000, "window": 500,
    },
    "CPUBottleneck": {"threshold": 50, "gpu_threshold": 10, "cpu_threshold": 90, "patience": 1000},
    "Dataloader": {"min_threshold": 70, "max_threshold": 200, "patience": 10},
    "GPUMemoryIncrease": {"increase": 5, "patience": 1000, "window": 10},
    "IOBottleneck": {"threshold": 50, "gpu_threshold": 10, "io_threshold": 50, "patience": 1000},
    "LoadBalancing": {"threshold": 0.5, "patience": 1000},
    "LowGPUUtilization": {
        "threshold_p95": 70, "threshold_p5": 10, "window": 500, "patience": 1000,
    },
    "MaxInitializationTime": {"threshold": 20},
    "OverallSystemUsage": {},
    "OverallFrameworkMetrics": {},
    "StepOutlier": {"stddev": 3, "mode": None, "n_outliers": 10},
}  # fmt: skip
"""smdebug-rulesconfig 1.0.1, which lacks Dataloader's patience and OverallFrameworkMetrics."""


def test_the_shelf_holds_sagemakers_rules_and_two_of_ours():
    assert set(names()) == {*CLIENT, "DataWait", "MemoryLeak"}


@pytest.mark.parametrize("name", CLIENT)
def test_defaults_are_those_of_sagemakers_client(name):
    assert find(name).parameters() == CLIENT[name] | {"scan_interval_us": 60_000_000}


@pytest.mark.parametrize("name", names())
def test_every_rule_tells_what_it_looks_for_and_what_to_do(name):
    rule = find(name)

    assert rule.about.endswith((".", ")")) and "`" not in rule.about
    assert rule.advice.endswith(".") and len(rule.advice) > 20
    for profile in rule.profiles.values():
        assert set(profile) <= set(rule.parameters())
    assert set(rule.percents) <= set(rule.parameters())


@pytest.mark.parametrize("name", names())
def test_every_rule_bears_an_empty_profile(name):
    verdict = find(name).verdict(Profile())

    assert verdict.status == "NoIssuesFound" and verdict.outcome.datapoints == 0


@pytest.mark.parametrize("name", ["cpubottleneck", "CPU_Bottleneck", "cpu-bottleneck"])
def test_a_rules_name_may_be_written_in_many_ways(name):
    assert find(name).name == "CPUBottleneck"


@pytest.mark.parametrize(
    ("name", "says"), [("CPUBottlenek", "did you mean CPUBottleneck"), ("zzz", "rules are Batch")]
)
def test_an_unknown_rule_is_said_with_the_nearest(name, says):
    with pytest.raises(RuleError, match=says):
        find(name)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("CPUBottleneck", {"cpu_threshold": 101}, "cpu_threshold must be 0 to 100, got 101"),
        ("CPUBottleneck", {"cpu_threshold": "nan"}, "cpu_threshold must be 0 to 100, got nan"),
        ("CPUBottleneck", {"patience": 0}, "patience must be above 0, got 0"),
        ("StepOutlier", {"stddev": "-1"}, "stddev must be above 0"),
        ("StepOutlier", {"std": 1}, "did you mean 'stddev'"),
    ],
)
def test_a_parameter_that_cannot_be_is_said(name, given, says):
    with pytest.raises(RuleError, match=says):
        find(name).verdict(Profile(), given)


def test_an_unknown_profile_is_said():
    with pytest.raises(RuleError, match="profiles are client and manual"):
        find("StepOutlier").parameters("page")


def test_two_rules_cannot_have_one_name():
    with pytest.raises(RuleError, match="two profiler rules called StepOutlier"):
        profiler_rule("StepOutlier", advice="")(RULES["StepOutlier"].judge)


def test_scans_tell_how_much_was_known_at_their_ends():
    times = np.arange(10.0)

    assert list(scans(times, 0.0, 3_000_000)) == [3, 6, 9, 10]
    assert list(scans(times, 0.0, 60_000_000)) == [10]
    assert list(scans(np.array([]), 0.0, 1)) == []
    assert list(scans(np.array([0.0, 100.0]), 0.0, 10_000_000)) == [1, 2]


def test_as_many_as_patience_are_too_few():
    assert too_few(10, 10) and not too_few(11, 10)
