import json
import threading
import time
from pathlib import Path

import pytest

from stocktake.debugger import samples as known
from stocktake.debugger import system
from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.samples import read
from stocktake.debugger.system import Sampler


@pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux")
def test_a_second_of_sampling_tells_what_the_machine_did(tmp_path):
    with Sampler(tmp_path, interval_s=0.1, node="here") as sampler:
        until = time.monotonic() + 1.0
        while time.monotonic() < until:  # the core this runs on has to be seen at work
            pass
    seen = read(tmp_path)

    assert sampler.lost == 0 and seen.nodes() == ["here"] and seen.damaged == 0
    cores = seen.devices(known.CPU)
    assert len(cores) >= 1 and max(values.max() for _, values in cores.values()) > 20
    assert all(0 <= values.min() <= values.max() <= 100 for _, values in cores.values())
    times, values = next(iter(seen.devices(known.PROCESS_MEMORY).values()))
    assert len(times) >= 5 and 0 < values.min() < 100
    assert not seen.has(known.GPU) or seen.has(known.GPU_MEMORY)
    name = next((tmp_path / "system" / "incremental").iterdir()).name
    assert name.endswith(".here.json") and name.split(".")[0].isdigit()


def count(rounds):
    """A probe that lets a sampler stop after some rounds."""
    asked = iter(range(rounds))
    done = threading.Event()

    def probe():
        if next(asked, None) is None:
            done.set()
        return [("cpu", "cpu0", known.CPU, 1.0)]

    return probe, done


@pytest.mark.parametrize("interval_s", [0.05, 61, float("nan")])
def test_an_interval_out_of_bounds_is_refused(tmp_path, interval_s):
    with pytest.raises(DebuggerError, match="must be 0.1 to 60 seconds"):
        Sampler(tmp_path, interval_s=interval_s)


def test_a_probe_that_fails_costs_the_others_nothing(tmp_path):
    def broken():
        raise RuntimeError("driver")

    probe, done = count(1)
    with Sampler(tmp_path, interval_s=0.1, sources=[broken, probe]) as sampler:
        assert done.wait(5)

    assert sampler.lost >= 2 and len(read(tmp_path).samples) >= 2


def test_a_place_that_takes_nothing_never_hurts(tmp_path):
    (tmp_path / "system").write_text("in the way")
    probe, done = count(1)
    with Sampler(tmp_path, interval_s=0.1, sources=[probe]) as sampler:
        assert done.wait(5)

    assert sampler.lost >= 2


def test_what_could_be_written_again_is_written_again(tmp_path):
    (tmp_path / "system").write_text("in the way")
    probe, done = count(1)
    sampler = Sampler(tmp_path, interval_s=0.1, sources=[probe]).start()
    assert done.wait(5)
    (tmp_path / "system").unlink()
    until = time.monotonic() + 5
    while not (tmp_path / "system").exists() and time.monotonic() < until:
        time.sleep(0.02)
    sampler.stop()

    assert read(tmp_path).samples and sampler.lost


def test_files_are_closed_at_their_size(tmp_path, monkeypatch):
    monkeypatch.setattr(system, "FILE_BYTES", 1)
    clock = iter(float(second) for second in range(100, 200))
    monkeypatch.setattr(system.time, "time", lambda: next(clock))
    probe, done = count(3)
    with Sampler(tmp_path, interval_s=0.1, node="n", sources=[probe]):
        assert done.wait(5)

    files = sorted(one.name for one in (tmp_path / "system" / "incremental").iterdir())
    assert files[:3] == ["100.n.json", "101.n.json", "102.n.json"]


def test_a_sample_has_the_six_keys_of_sagemaker(tmp_path):
    probe, done = count(1)
    with Sampler(tmp_path, interval_s=0.1, node="algo-1", sources=[probe]):
        assert done.wait(5)
    path = next((tmp_path / "system" / "incremental").iterdir())
    row = json.loads(path.read_text().splitlines()[0])

    assert list(row) == ["Type", "Name", "Dimension", "Value", "NodeId", "Timestamp"]
    assert abs(row.pop("Timestamp") - time.time()) < 60
    assert list(row.values()) == ["cpu", "cpu0", "CPUUtilization", 1.0, "algo-1"]


def test_it_can_be_stopped_twice_and_started_again(tmp_path):
    sampler = Sampler(tmp_path, interval_s=0.1, sources=[lambda: [("cpu", "c", known.CPU, 1.0)]])
    sampler.stop()
    sampler.start()
    sampler.start()
    sampler.stop()
    sampler.stop()

    assert len(read(tmp_path).samples) >= 2
    assert not any(one.name == "profiler" for one in threading.enumerate())
