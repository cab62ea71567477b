"""Probes: what the machine does right now, as samples. By psutil where it is, else from /proc.

A probe is a function without arguments that gives rows (type, name, dimension, value). Rates and
shares are of the time since it was last asked; the first time it only looks, and gives none of
them. Nothing here waits: a probe answers in under a millisecond per 16 cores.
"""

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from stocktake.debugger import samples as known

Row = tuple[str, str, str, float]
Probe = Callable[[], list[Row]]

SECTOR_BYTES = 512
"""Linux counts in sectors of this size whatever the disk's are: Documentation/block/stat.rst."""


def probes(proc: Path = Path("/proc")) -> list[Probe]:
    """The probes that work on this machine; on one without /proc and psutil there may be none."""
    found: list[Probe] = []
    if (psutil := _psutil()) is not None:
        found += [_PsutilCpu(psutil), _PsutilMemory(psutil), _PsutilTraffic(psutil)]
    elif (proc / "stat").exists():
        found += [ProcCpu(proc), ProcMemory(proc), ProcTraffic(proc)]
    if (gpus := open_gpus()) is not None:
        found.append(gpus)
    return found


def _psutil() -> Any | None:
    try:
        import psutil
    except ImportError:
        return None
    return psutil


class _Rates:
    """Counters that only rise, as amounts per second."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._last: dict[tuple[str, str, str], float] = {}
        self._when = 0.0

    def rows(self, counters: dict[tuple[str, str, str], float]) -> list[Row]:
        now = self._clock()
        passed = now - self._when
        made = [
            (*key, max(0.0, value - self._last[key]) / passed)
            for key, value in counters.items()
            if key in self._last and passed > 0
        ]
        self._last, self._when = counters, now
        return made


class ProcCpu:
    """Each core's busy share and I/O wait, from /proc/stat."""

    def __init__(self, proc: Path) -> None:
        self._file = proc / "stat"
        self._last: dict[str, list[int]] = {}

    def __call__(self) -> list[Row]:
        made: list[Row] = []
        seen = {}
        for line in self._file.read_text().splitlines():
            name, *numbers = line.split()
            if not name.startswith("cpu") or name == "cpu":
                continue
            # user nice system idle iowait irq softirq steal; guest is inside user
            ticks = seen[name] = [int(one) for one in numbers[:8]]
            if name in self._last:
                passed = [max(0, a - b) for a, b in zip(ticks, self._last[name], strict=True)]
                made += cpu_rows(name, idle=passed[3], waiting=passed[4], total=sum(passed))
        self._last = seen
        return made


def cpu_rows(name: str, *, idle: float, waiting: float, total: float) -> list[Row]:
    """A core's rows from the time it spent; none where none has passed."""
    if total <= 0:
        return []
    return [
        ("cpu", name, known.CPU, 100 * (total - idle - waiting) / total),
        ("cpu", name, known.IO_WAIT, 100 * waiting / total),
    ]


class ProcMemory:
    """The machine's memory, and this process's, from /proc/meminfo and /proc/self/statm."""

    def __init__(self, proc: Path) -> None:
        self._proc = proc
        self._page_kb = os.sysconf("SC_PAGE_SIZE") / 1024

    def __call__(self) -> list[Row]:
        lines = (self._proc / "meminfo").read_text().splitlines()
        kb = {name: int(rest.split()[0]) for name, _, rest in (one.partition(":") for one in lines)}
        total = kb["MemTotal"]
        resident_kb = int((self._proc / "self/statm").read_text().split()[1]) * self._page_kb
        return [
            ("memory", "memory", known.MEMORY, 100 * (1 - kb["MemAvailable"] / total)),
            ("memory", "process", known.PROCESS_MEMORY, 100 * resident_kb / total),
        ]


class ProcTraffic:
    """Bytes to and from disks and network, from /proc/diskstats and /proc/net/dev."""

    def __init__(self, proc: Path, clock: Callable[[], float] = time.monotonic) -> None:
        self._proc = proc
        self._rates = _Rates(clock)

    def __call__(self) -> list[Row]:
        counters: dict[tuple[str, str, str], float] = {}
        if (disks := self._fields("diskstats")) is not None:
            whole = [one for one in disks if _is_whole_disk(one[2])]
            counters["disk", "disk", known.DISK_READ] = SECTOR_BYTES * sum(
                int(one[5]) for one in whole
            )
            counters["disk", "disk", known.DISK_WRITE] = SECTOR_BYTES * sum(
                int(one[9]) for one in whole
            )
        if (links := self._fields("net/dev")) is not None:
            outside = [one for one in links if len(one) > 9 and one[0] not in ("lo", "face")]
            outside = [one for one in outside if one[1].isdigit()]
            counters["network", "network", known.RECEIVED] = sum(int(one[1]) for one in outside)
            counters["network", "network", known.SENT] = sum(int(one[9]) for one in outside)
        return self._rates.rows(counters)

    def _fields(self, name: str) -> list[list[str]] | None:
        """The file's lines in words; None where a sandbox hides it."""
        try:
            text = (self._proc / name).read_text()
        except OSError:
            return None
        return [line.replace(":", " ").split() for line in text.splitlines()]


def _is_whole_disk(name: str) -> bool:
    """Partitions, loops and mapped disks would count the same bytes again."""
    if name.startswith(("loop", "ram", "dm-", "md", "zram", "sr")):
        return False
    if name.startswith(("nvme", "mmcblk")):
        return "p" not in name.removeprefix("mmcblk")
    return not name[-1].isdigit()


class _PsutilCpu:
    def __init__(self, psutil: Any) -> None:
        self._psutil = psutil
        self._last: list[Any] = []

    def __call__(self) -> list[Row]:
        now = self._psutil.cpu_times(percpu=True)
        made: list[Row] = []
        for number, (new, old) in enumerate(zip(now, self._last, strict=False)):
            # guest time is inside user's, so it must not be added again
            passed = {
                key: max(0.0, getattr(new, key) - getattr(old, key))
                for key in new._fields
                if not key.startswith("guest")
            }
            made += cpu_rows(
                f"cpu{number}",
                idle=passed["idle"],
                waiting=passed.get("iowait", 0.0),
                total=sum(passed.values()),
            )
        self._last = now
        return made


class _PsutilMemory:
    def __init__(self, psutil: Any) -> None:
        self._psutil, self._me = psutil, psutil.Process()

    def __call__(self) -> list[Row]:
        machine = self._psutil.virtual_memory()
        resident = self._me.memory_info().rss
        return [
            ("memory", "memory", known.MEMORY, float(machine.percent)),
            ("memory", "process", known.PROCESS_MEMORY, 100 * resident / machine.total),
        ]


class _PsutilTraffic:
    def __init__(self, psutil: Any) -> None:
        self._psutil, self._rates = psutil, _Rates()

    def __call__(self) -> list[Row]:
        counters: dict[tuple[str, str, str], float] = {}
        if (disk := self._psutil.disk_io_counters()) is not None:
            counters["disk", "disk", known.DISK_READ] = disk.read_bytes
            counters["disk", "disk", known.DISK_WRITE] = disk.write_bytes
        links = [
            one for name, one in self._psutil.net_io_counters(pernic=True).items() if name != "lo"
        ]
        counters["network", "network", known.RECEIVED] = sum(one.bytes_recv for one in links)
        counters["network", "network", known.SENT] = sum(one.bytes_sent for one in links)
        return self._rates.rows(counters)


def open_gpus(library: Any | None = None) -> Probe | None:
    """A probe of NVIDIA's GPUs by NVML; None where there is no library, driver or GPU.

    Args:
        library: what `import pynvml` gives; imported if None.
    """
    if library is None and (library := _pynvml()) is None:
        return None
    nvml: Any = library
    try:
        nvml.nvmlInit()
        count = nvml.nvmlDeviceGetCount()
        handles = [nvml.nvmlDeviceGetHandleByIndex(number) for number in range(count)]
    except nvml.NVMLError:
        return None
    return Gpus(nvml, handles) if handles else None


def _pynvml() -> Any | None:
    try:
        import pynvml
    except ImportError:
        return None
    return pynvml


class Gpus:
    """Each GPU's busy share, and the share of its memory that is taken."""

    def __init__(self, library: Any, handles: list[Any]) -> None:
        self._library, self._handles = library, handles

    def __call__(self) -> list[Row]:
        made: list[Row] = []
        for number, handle in enumerate(self._handles):
            try:
                busy = self._library.nvmlDeviceGetUtilizationRates(handle).gpu
                memory = self._library.nvmlDeviceGetMemoryInfo(handle)
            except self._library.NVMLError:
                continue  # one that fell off the bus must not cost the others' samples
            # utilisation's own `memory` is the bus's busy share, not what is taken
            made += [
                ("gpu", f"gpu{number}", known.GPU, float(busy)),
                ("gpu", f"gpu{number}", known.GPU_MEMORY, 100 * memory.used / memory.total),
            ]
        return made
