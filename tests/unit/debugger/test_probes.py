import sys
import time
from pathlib import Path
from types import SimpleNamespace

import pytest

from stocktake.debugger import samples as known
from stocktake.debugger.probes import ProcCpu, ProcMemory, ProcTraffic, open_gpus, probes

STAT = "cpu  0 0 0 0 0 0 0 0 0 0\ncpu0 {} 0 0 {} {} 0 0 0 0 0\nintr 5\n"
needs_proc = pytest.mark.skipif(not Path("/proc/stat").exists(), reason="needs Linux")


def test_a_core_is_busy_when_it_neither_idles_nor_waits(tmp_path):
    probe = ProcCpu(tmp_path)
    (tmp_path / "stat").write_text(STAT.format(100, 100, 100))
    assert probe() == []

    (tmp_path / "stat").write_text(STAT.format(130, 150, 120))
    assert probe() == [("cpu", "cpu0", known.CPU, 30.0), ("cpu", "cpu0", known.IO_WAIT, 20.0)]

    assert probe() == []  # no time has passed


def test_traffic_is_what_whole_disks_and_outer_links_moved_each_second(tmp_path):
    now = iter([10.0, 12.0])
    probe = ProcTraffic(tmp_path, clock=lambda: next(now))
    disk = "8 0 {name} 1 0 {read} 0 1 0 {written} 0 0 0 0\n"
    link = "{name}: {got} 0 0 0 0 0 0 0 {sent} 0 0 0 0 0 0 0\n"

    def write(n):
        disks = [("sda", n), ("sda1", 9 * n), ("loop0", n), ("nvme0n1p1", n), ("dm-0", n)]
        text = "".join(disk.format(name=name, read=4 * k, written=2 * k) for name, k in disks)
        (tmp_path / "diskstats").write_text(text)
        (tmp_path / "net").mkdir(exist_ok=True)
        links = [("lo", 50 * n), ("eth0", n)]
        text = "Inter-| Receive\n face |bytes packets\n"
        text += "".join(link.format(name=name, got=100 * k, sent=10 * k) for name, k in links)
        (tmp_path / "net" / "dev").write_text(text)

    write(0)
    assert probe() == []
    write(10)
    rates = {dimension: value for _, _, dimension, value in probe()}
    assert rates == {
        known.DISK_READ: 40 * 512 / 2,
        known.DISK_WRITE: 20 * 512 / 2,
        known.RECEIVED: 500,
        known.SENT: 50,
    }


def test_what_a_sandbox_hides_is_left_out(tmp_path):
    assert ProcTraffic(tmp_path)() == []


@needs_proc
def test_memory_of_this_process_is_part_of_the_machines():
    shares = {name: value for _, name, _, value in ProcMemory(Path("/proc"))()}

    assert 0 < shares["process"] < 100 and 0 < shares["memory"] < 100


@needs_proc
def test_without_psutil_the_kernel_is_asked(monkeypatch):
    monkeypatch.setitem(sys.modules, "psutil", None)
    asked = probes()
    for one in asked:
        one()
    until = time.process_time() + 0.03
    while time.process_time() < until:
        pass
    found = {row[2] for one in asked for row in one()}

    assert {known.CPU, known.IO_WAIT, known.MEMORY, known.PROCESS_MEMORY} <= found


def test_psutil_and_the_kernel_agree_where_both_are(monkeypatch):
    pytest.importorskip("psutil")
    theirs = {row[1:3]: row[3] for one in probes() for row in one() if row[0] == "memory"}
    monkeypatch.setitem(sys.modules, "psutil", None)
    ours = {row[1:3]: row[3] for one in probes() for row in one() if row[0] == "memory"}

    assert theirs.keys() == ours.keys()
    for key, value in theirs.items():
        assert ours[key] == pytest.approx(value, abs=2)


class NVMLError(Exception):
    pass


def nvml(count=2, broken=()):
    """A library of a machine with GPUs, of which some have fallen off the bus."""

    def utilisation(handle):
        if handle in broken:
            raise NVMLError
        return SimpleNamespace(gpu=10 * (handle + 1), memory=99)

    return SimpleNamespace(
        NVMLError=NVMLError,
        nvmlInit=lambda: None,
        nvmlDeviceGetCount=lambda: count,
        nvmlDeviceGetHandleByIndex=lambda number: number,
        nvmlDeviceGetUtilizationRates=utilisation,
        nvmlDeviceGetMemoryInfo=lambda handle: SimpleNamespace(used=20, total=80),
    )


def test_each_gpu_tells_use_and_the_share_of_memory_that_is_taken():
    probe = open_gpus(nvml())
    assert probe is not None

    assert probe() == [
        ("gpu", "gpu0", known.GPU, 10.0),
        ("gpu", "gpu0", known.GPU_MEMORY, 25.0),
        ("gpu", "gpu1", known.GPU, 20.0),
        ("gpu", "gpu1", known.GPU_MEMORY, 25.0),
    ]


def test_a_gpu_that_fell_off_the_bus_costs_the_others_nothing():
    probe = open_gpus(nvml(broken=(0,)))
    assert probe is not None

    assert {row[1] for row in probe()} == {"gpu1"}


def test_no_driver_and_no_gpu_are_the_same():
    def fails():
        raise NVMLError

    assert open_gpus(nvml(count=0)) is None
    without = nvml()
    without.nvmlInit = fails
    assert open_gpus(without) is None


def test_no_library_is_no_gpu(monkeypatch):
    monkeypatch.setitem(sys.modules, "pynvml", None)

    assert open_gpus() is None
