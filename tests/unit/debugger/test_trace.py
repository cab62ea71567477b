import gzip
import json

import pytest

from stocktake.debugger.trace import StepTrace, operators, read_operators

torch = pytest.importorskip("torch")


def steps(trace, count):
    layer = torch.nn.Linear(8, 8)
    for step in range(count):
        trace.before_step(step)
        layer(torch.ones(4, 8)).sum().backward()
    trace.close()


def test_chosen_steps_are_traced_and_their_operators_told(tmp_path):
    trace = StepTrace(tmp_path, (1, 2, 5), node="here")
    steps(trace, 7)
    tables = read_operators(tmp_path)

    assert trace.failures == [] and [one["steps"] for one in tables] == [[1, 2], [5, 5]]
    rows = {row["name"]: row for row in tables[0]["operators"]}
    assert rows["aten::addmm"]["calls"] == 2 and rows["aten::addmm"]["self_cpu_ms"] > 0
    times = [row["self_cpu_ms"] for row in tables[0]["operators"]]
    assert times == sorted(times, reverse=True)
    path = next((tmp_path / "framework" / "torch").glob("steps-1-2.here-*.json.gz"))
    told = json.loads(gzip.decompress(path.read_bytes()))
    names = {one.get("name") for one in told["traceEvents"]}
    assert "aten::addmm" in names


def test_no_step_chosen_is_nothing_done(tmp_path):
    steps(StepTrace(tmp_path, ()), 3)

    assert list(tmp_path.iterdir()) == []


def test_a_trace_without_a_place_is_a_line_not_an_error(tmp_path):
    (tmp_path / "framework").write_text("in the way")
    trace = StepTrace(tmp_path, range(2))
    steps(trace, 3)

    assert len(trace.failures) == 1 and "steps 0-1 could not be written" in trace.failures[0]


def test_another_profiler_that_is_on_is_left_alone(tmp_path):
    trace = StepTrace(tmp_path, range(1))
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as other:
        steps(trace, 2)

    assert trace.failures == ["step 0 is not traced: another profiler is on"]
    assert "aten::addmm" in {one.key for one in other.key_averages()}


def test_damaged_tables_are_left_out(tmp_path):
    folder = tmp_path / "framework" / "torch"
    folder.mkdir(parents=True)
    (folder / "operators-0-1.a.json").write_text('{"steps": [0')
    (folder / "operators-2-3.a.json").write_text('{"operators": []}')
    (folder / "operators-4-5.a.json").write_text("[]")

    assert read_operators(tmp_path) == []


class Average:
    cpu_time_total = self_cpu_time_total = 2000.0
    self_cpu_memory_usage = 0
    count = 1

    def __init__(self, key, device=0.0):
        self.key, self.self_device_time_total = key, device


def test_with_a_gpu_its_time_decides_the_order():
    rows = operators([Average("slow on cpu"), Average("mm", 50.0), Average("ProfilerStep#1")])

    assert [row["name"] for row in rows] == ["mm", "slow on cpu"]
    assert rows[0]["self_device_ms"] == 0.05 and rows[0]["cpu_ms"] == 2.0
