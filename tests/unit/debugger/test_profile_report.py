import json

import pytest
from profiled import machine

from stocktake.debugger import samples as known
from stocktake.debugger.errors import RecordError, RuleError
from stocktake.debugger.profile_report import by_rule, judge, write
from stocktake.debugger.profiling import names
from stocktake.debugger.samples import Profile


@pytest.fixture
def idle(tmp_path):
    """A profiler-output folder of a machine whose CPU did little."""
    path = tmp_path / "demo" / "profiler-output" / "system" / "incremental" / "1.algo-1.json"
    path.parent.mkdir(parents=True)
    rows = machine({("cpu0", known.CPU): [20.0] * 1200})
    lines = (
        {"Type": one.type, "Name": one.name, "Dimension": one.dimension, "Value": one.value}
        | {"NodeId": one.node, "Timestamp": one.time}
        for one in rows
    )
    path.write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "demo" / "profiler-output"


def test_a_report_has_a_file_for_each_rule_a_summary_and_a_page(idle, tmp_path):
    out = tmp_path / "out"
    report = write(idle, out)

    assert report.status == "IssuesFound" and report.fired == ("LowGPUUtilization",)
    assert sorted(one.stem for one in (out / "profiler-reports").iterdir()) == names()
    assert "Profile of <b>demo</b>" in report.page.read_text()
    summary = json.loads((out / "profiler-report.json").read_text())
    assert summary["status"] == "IssuesFound"
    first = summary["rules"][0]
    assert first["rule"] == "LowGPUUtilization" and "no GPU" in first["note"]
    assert len(first["messages"]) == 1


def test_a_rules_file_has_sagemakers_five_keys(idle, tmp_path):
    write(idle, tmp_path / "out", parameters={"LowGPUUtilization_patience": 500})
    told = json.loads((tmp_path / "out/profiler-reports/LowGPUUtilization.json").read_text())

    keys = ["RuleTriggered", "Violations", "Details", "Datapoints", "RuleParameters"]
    assert list(told)[:5] == keys and told["RuleTriggered"] == 1 and told["Datapoints"] == 1200
    assert "threshold_p95:70.0\n" in told["RuleParameters"]
    assert "patience:500" in told["RuleParameters"]
    assert told["Status"] == "IssuesFound" and told["Findings"][0]["evidence"]["p95"] == 20


def test_a_report_can_be_made_again_as_the_training_goes_on(idle, tmp_path):
    first = write(idle, tmp_path / "out").page.read_text()
    more = idle / "system" / "incremental" / "2.algo-1.json"
    more.write_text('{"Type":"cpu","Name":"cpu0","Dim')
    second = write(idle, tmp_path / "out").page.read_text()

    assert first != second and "lines that could not be read: 1" in second
    assert not list((tmp_path / "out").rglob(".*"))


def test_a_healthy_profile_fires_nothing():
    busy = machine({("cpu0", known.CPU): [95.0] * 1200, ("cpu0", known.IO_WAIT): [1.0] * 1200})

    assert not [one.rule for one in judge(Profile(samples=busy)) if one.outcome.troubles]


def test_those_that_fired_come_first_and_those_not_judged_last():
    idle = machine({("cpu0", known.CPU): [20.0] * 1200})
    found = judge(Profile(samples=idle))

    assert found[0].rule == "LowGPUUtilization"
    assert [one.is_judged for one in found] == sorted(
        (one.is_judged for one in found), reverse=True
    )


def test_parameters_are_named_by_rule_whatever_its_case():
    found = by_rule({"cpubottleneck_cpu_threshold": "80", "CPUBottleneck_gpu_threshold": 5})

    assert found == {"CPUBottleneck": {"cpu_threshold": "80", "gpu_threshold": 5}}


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"threshold": 3}, "must be <Rule>_<parameter>"),
        ({"CPUBotleneck_threshold": 3}, "did you mean CPUBottleneck"),
        ({"CPUBottleneck_treshold": 3}, "did you mean 'threshold'"),
        ({"CPUBottleneck_threshold": 300}, "must be 0 to 100"),
    ],
)
def test_a_parameter_that_cannot_be_is_said(parameters, says):
    with pytest.raises(RuleError, match=says):
        judge(Profile(), parameters)


def test_a_profile_of_defaults_reaches_every_rule():
    found = {one.rule: one.parameters for one in judge(Profile(), profile="manual")}

    assert found["BatchSize"]["patience"] == 100 and found["StepOutlier"]["stddev"] == 5.0
    assert found["LoadBalancing"]["patience"] == 10


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RecordError, match="there is no such folder"):
        write(tmp_path / "none", tmp_path / "out")

    assert not (tmp_path / "out").exists()
