import json

import numpy as np
import pytest
from profiled import START, loop, machine

from stocktake.debugger.errors import RecordError
from stocktake.debugger.samples import (
    CPU,
    GPU,
    Device,
    Profile,
    in_rounds,
    percentiles,
    read,
)

SAMPLE = {"Type": "gpu", "Name": "gpu0", "Dimension": "GPUUtilization", "Value": 8.0}
SAMPLE |= {"NodeId": "algo-1", "Timestamp": 1591160899.75}


def written(folder, *lines):
    path = folder / "system" / "incremental" / "1591160899.algo-1.json"
    path.parent.mkdir(parents=True)
    path.write_text("".join(lines))
    return folder


def traced(folder, *events, end="]\n"):
    path = folder / "framework/pevents/2020071317/1594662624718694_905-algo-1_pythontimeline.json"
    path.parent.mkdir(parents=True)
    path.write_text("[\n" + "".join(json.dumps(one) + ",\n" for one in events) + end)
    return folder


def test_a_line_of_sagemaker_is_read(tmp_path):
    seen = read(written(tmp_path, json.dumps(SAMPLE) + "\n"))

    times, values = seen.devices(GPU)[Device("algo-1", "gpu0")]
    assert times.tolist() == [1591160899.75] and values.tolist() == [8.0]
    assert seen.nodes() == ["algo-1"] and seen.has(GPU) and not seen.has(GPU, "algo-2")


@pytest.mark.parametrize(
    "line",
    ['{"Type":"cpu","Na', "[]", "7", json.dumps(SAMPLE | {"Value": "much"}), "\x00\x00",
     json.dumps(SAMPLE | {"Value": float("nan")}), json.dumps({"Value": 3})],
)  # fmt: skip
def test_a_damaged_line_is_counted_and_left_out(tmp_path, line):
    seen = read(written(tmp_path, json.dumps(SAMPLE) + "\n", line + "\n"))

    assert len(seen.samples) == 1 and seen.damaged == 1


def test_a_folder_that_is_not_there_is_said(tmp_path):
    with pytest.raises(RecordError, match="there is no such folder"):
        read(tmp_path / "none")


def test_an_empty_folder_is_an_empty_profile(tmp_path):
    seen = read(tmp_path)

    assert seen.first_time == seen.last_time == 0 and not seen.nodes() and not seen.steps()
    assert seen.core_count() == 0


BASE = {"name": "process_name", "ph": "M", "pid": 0}
BASE |= {"args": {"start_time_since_epoch_in_micros": 1594662605425850}}
STEP = {"name": "Step:ModeKeys.EVAL", "pid": 1, "ph": "X", "ts": 11993413, "dur": 87137}
STEP |= {"args": {"pid": 905, "step_num": "1"}}


@pytest.mark.parametrize("end", ["]\n", "", '{"name": "Step:Mod'])
def test_steps_of_sagemaker_are_read_while_the_file_grows(tmp_path, end):
    seen = read(traced(tmp_path, BASE, STEP, end=end))

    (step,) = seen.steps("eval")
    assert (step.step, step.name, step.mode, step.node) == (1, "step", "eval", "algo-1")
    assert step.duration_s == pytest.approx(0.087137)
    assert step.time == pytest.approx(1594662605.42585 + 11.993413)
    assert not seen.steps("train") and seen.started == pytest.approx(1594662605.42585)


def test_a_phase_inside_another_is_not_counted_twice(tmp_path):
    outer = {"name": "forward", "pid": 1, "ph": "X", "ts": 0, "dur": 50, "args": {"step_num": 0}}
    inner = outer | {"name": "loss", "args": {"step_num": 0, "outer": 0}}
    seen = read(traced(tmp_path, BASE, outer, inner))

    assert [one.name for one in seen.phases()] == ["forward"] and len(seen.spans) == 2


def test_samples_taken_at_once_are_a_round():
    samples = machine({("cpu0", CPU): [10, 20], ("cpu1", CPU): [30, 60]})
    seen = Profile(samples=samples)

    assert [len(one) for one in in_rounds(seen.samples)] == [2, 2]
    assert seen.over_devices(CPU, "algo-1")[1].tolist() == [20, 40]
    assert seen.over_devices(CPU, "algo-1", max)[1].tolist() == [30, 60]


def test_devices_are_in_the_order_people_count():
    seen = Profile(samples=machine({(f"cpu{n}", CPU): [1] for n in (10, 2, 0)}))

    assert [one.name for one in seen.devices(CPU)] == ["cpu0", "cpu2", "cpu10"]
    assert seen.core_count() == 3


def test_time_runs_from_the_first_thing_seen_to_the_end_of_the_last():
    seen = Profile(samples=machine({("cpu0", CPU): [1]}), spans=loop([2.0, 3.0], begins_s=4))

    assert seen.first_time == START + 0.5 and seen.last_time == pytest.approx(START + 9)


def test_percentiles_are_interpolated_and_whiskers_end_at_the_extremes():
    found = percentiles(np.arange(1.0, 6.0))

    assert found["p25"] == 2 and found["p50"] == 3 and found["p95"] == pytest.approx(4.8)
    assert found["lower"] == 1 and found["upper"] == 5
    assert percentiles([*range(1, 6), 100])["upper"] < 100
    assert percentiles([]) == {}
