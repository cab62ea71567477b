"""What a profiler saw: samples of the machine and spans of the loop, on disk and in memory.

    profiler-output/
    ├── system/incremental/<seconds>.<node>.json        one sample a line
    ├── framework/pevents/<hour>/<us>_<pid>-<node>_pythontimeline.json
    │                                                   a Chrome trace, which Perfetto opens
    └── framework/torch/                                see trace.py

A sample is SageMaker's, one JSON object a line:

    {"Type":"cpu","Name":"cpu0","Dimension":"CPUUtilization","Value":8.0,"NodeId":"algo-1",
     "Timestamp":1591160899.75}

| Type | Name | Dimension | unit |
|---|---|---|---|
| cpu | cpu0, cpu1, ... | CPUUtilization, I/OWaitPercentage | %, of one core |
| memory | memory | MemoryUsedPercent | % of the machine's, not available to others |
| memory | process | ProcessMemoryPercent | % of the machine's, resident in this process |
| disk | disk | DiskReadBytesPerSecond, DiskWriteBytesPerSecond | bytes/s |
| network | network | NetworkReceivedBytesPerSecond, NetworkSentBytesPerSecond | bytes/s |
| gpu | gpu0, gpu1, ... | GPUUtilization, GPUMemoryUtilization | % |

SageMaker names the dimensions of cpu and gpu so; the others are ours. Disk is all whole disks,
network all links but the loopback.
A trace's times are microseconds after its `start_time_since_epoch_in_micros`. A step is a span
called "Step:ModeKeys.TRAIN"; other spans are phases.
"""

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from sys import intern
from typing import Any

import numpy as np

from stocktake.debugger.errors import RecordError

CPU, IO_WAIT = "CPUUtilization", "I/OWaitPercentage"
MEMORY, PROCESS_MEMORY = "MemoryUsedPercent", "ProcessMemoryPercent"
DISK_READ, DISK_WRITE = "DiskReadBytesPerSecond", "DiskWriteBytesPerSecond"
RECEIVED, SENT = "NetworkReceivedBytesPerSecond", "NetworkSentBytesPerSecond"
GPU, GPU_MEMORY = "GPUUtilization", "GPUMemoryUtilization"

STEP_PREFIX = "Step:ModeKeys."
WORKERS = "dataloader workers"
"""A counter in the trace: processes that load data for the loop."""

ROUND_S = 0.02
"""Samples this close were taken in one round, as in SageMaker's rules."""

Array = np.ndarray[Any, np.dtype[np.float64]]


@dataclass(frozen=True, kw_only=True, slots=True)
class Sample:
    """One number of one device of one machine at one time."""

    type: str
    """"cpu", "memory", "disk", "network" or "gpu"."""
    name: str
    """Of the device: "cpu0"."""
    dimension: str
    value: float
    node: str
    """The machine's name."""
    time: float
    """Seconds since 1970."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Span:
    """Something the loop did, from a time on for a while."""

    name: str
    """A phase, as "forward"; "step" for a whole step."""
    time: float
    """When it began, seconds since 1970."""
    duration_s: float
    step: int = -1
    """Counted from 0 within its mode; -1 outside of steps."""
    mode: str = "train"
    node: str = ""
    outer: bool = True
    """False for a phase inside another: it is in that one's duration already."""


@dataclass(frozen=True, slots=True)
class Device:
    """Names one device of one machine."""

    node: str
    name: str


@dataclass(slots=True)
class Profile:
    """What is known of a training's use of its machines so far."""

    samples: list[Sample] = field(default_factory=list)
    """By rising time."""
    spans: list[Span] = field(default_factory=list)
    """By rising time of their beginning."""
    workers: list[tuple[float, int]] = field(default_factory=list)
    """When a pass over data began, seconds since 1970, and how many processes loaded for it."""
    cores: int = 0
    """Cores that the process may use; 0 if unknown."""
    started: float = 0.0
    """When the profiler was started, seconds since 1970; 0 if unknown."""
    damaged: int = 0
    """Lines that could not be read."""
    _index: dict[tuple[str, str], list[Sample]] = field(
        init=False, repr=False, compare=False, default_factory=dict
    )
    """Samples by machine and dimension."""

    def __post_init__(self) -> None:
        self.samples.sort(key=lambda one: one.time)
        self._index = {}
        for one in self.samples:
            self._index.setdefault((one.node, one.dimension), []).append(one)
        self.spans.sort(key=lambda one: one.time)
        self.workers.sort()

    @property
    def first_time(self) -> float:
        """When the training began, as far as is known; 0 for an empty profile."""
        known = [one[0].time for one in (self.samples, self.spans) if one]
        return min([*known, self.started] if self.started else known, default=0.0)

    @property
    def last_time(self) -> float:
        """When the last thing was seen; 0 for an empty profile."""
        newest = self.samples[-1].time if self.samples else 0.0
        return max(newest, max((one.time + one.duration_s for one in self.spans), default=0.0))

    def devices(self, dimension: str) -> dict[Device, tuple[Array, Array]]:
        """Times (n,) in seconds since 1970 and values (n,) of a dimension, for each device."""
        found: dict[Device, tuple[list[float], list[float]]] = {}
        for node in self.nodes():
            for one in self._index.get((node, dimension), ()):
                times, values = found.setdefault(Device(node, one.name), ([], []))
                times.append(one.time)
                values.append(one.value)
        ordered = sorted(found, key=lambda one: (one.node, _natural(one.name)))
        return {key: (np.array(found[key][0]), np.array(found[key][1])) for key in ordered}

    def has(self, dimension: str, node: str = "") -> bool:
        """Whether a dimension was sampled, on this machine or on any."""
        return any(key[1] == dimension and node in ("", key[0]) for key in self._index)

    def nodes(self) -> list[str]:
        """Machines that have a sample."""
        return sorted({node for node, _ in self._index})

    def rounds(self, node: str, *dimensions: str) -> list[list[Sample]]:
        """A machine's samples of these dimensions, in groups that were taken at once."""
        wanted = [one for key in dimensions for one in self._index.get((node, key), ())]
        return list(in_rounds(sorted(wanted, key=lambda one: one.time)))

    def over_devices(
        self, dimension: str, node: str, take: Callable[[list[float]], Any] = np.mean
    ) -> tuple[Array, Array]:
        """Times (n,) and values (n,) of a machine: of each round, the mean or else of devices."""
        rounds = self.rounds(node, dimension)
        times = np.array([group[0].time for group in rounds])
        return times, np.array([float(take([one.value for one in group])) for group in rounds])

    def steps(self, mode: str = "") -> list[Span]:
        """Whole steps of a mode, or of all."""
        return [one for one in self.spans if one.name == "step" and mode in ("", one.mode)]

    def phases(self) -> list[Span]:
        """Spans that are no steps and lie in no other phase."""
        return [one for one in self.spans if one.name != "step" and one.outer]

    def core_count(self) -> int:
        """Cores of a machine, from what the loop said, else from the samples; 0 if unknown."""
        seen = [device.node for device in self.devices(CPU)]
        return self.cores or max((seen.count(node) for node in seen), default=0)


def in_rounds(samples: Iterable[Sample]) -> Iterator[list[Sample]]:
    """Samples by rising time, in groups that were taken at once."""
    group: list[Sample] = []
    for one in samples:
        if group and one.time - group[0].time > ROUND_S:
            yield group
            group = []
        group.append(one)
    if group:
        yield group


def read(folder: Path) -> Profile:
    """The profile in a profiler-output folder, ours or SageMaker's; it may still be growing.

    A line that is cut short or damaged is left out and counted.

    Raises:
        RecordError: if there is no such folder.
    """
    if not folder.is_dir():
        raise RecordError(f"{folder}: there is no such folder; a profiler has to write it first")
    samples: list[Sample] = []
    damaged = 0
    for path in sorted((folder / "system").rglob("*.json")):
        for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
            if (sample := _sample(line)) is not None:
                samples.append(sample)
            elif line.strip():
                damaged += 1
    made = Profile(samples=samples, damaged=damaged)
    for path in sorted((folder / "framework").rglob("*timeline.json")):
        _read_trace(path, made)
    made.__post_init__()
    return made


def _sample(line: str) -> Sample | None:
    try:
        row = json.loads(line)
        value, time = float(row["Value"]), float(row["Timestamp"])
        if not (np.isfinite(value) and np.isfinite(time)):
            return None
        return Sample(
            type=intern(str(row["Type"])),  # the same few texts a million times
            name=intern(str(row["Name"])),
            dimension=intern(str(row["Dimension"])),
            value=value,
            node=intern(str(row["NodeId"])),
            time=time,
        )
    except (ValueError, KeyError, TypeError):
        return None


def _read_trace(path: Path, into: Profile) -> None:
    """Add a trace's spans; it may lack its closing bracket, or end in the middle of a line."""
    base_us = 0.0
    node = path.name.removesuffix("_pythontimeline.json").partition("-")[2]
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        text = line.strip().rstrip(",")
        if text in ("", "[", "]"):
            continue
        try:
            event = json.loads(text)
            args = event.get("args") or {}
            if event["ph"] == "M" and "start_time_since_epoch_in_micros" in args:
                base_us = float(args["start_time_since_epoch_in_micros"])
                into.cores = max(into.cores, int(args.get("cores", 0)))
                started = base_us / 1e6
                into.started = min(into.started or started, started)
            elif event["ph"] == "C" and event["name"] == WORKERS:
                time = (base_us + float(event["ts"])) / 1e6
                into.workers.append((time, int(args["workers"])))
            elif event["ph"] == "X":
                into.spans.append(_span(event, args, base_us, node))
        except (ValueError, KeyError, TypeError, AttributeError):
            into.damaged += 1


def _span(event: dict[str, Any], args: dict[str, Any], base_us: float, node: str) -> Span:
    name = str(event["name"])
    mode = str(args.get("mode", "train"))
    if name.startswith(STEP_PREFIX):
        name, mode = "step", name.removeprefix(STEP_PREFIX).lower()
    return Span(
        name=name,
        time=(base_us + float(event["ts"])) / 1e6,
        duration_s=float(event["dur"]) / 1e6,
        step=int(args.get("step_num", -1)),
        mode=mode,
        node=node,
        outer=args.get("outer", 1) != 0,
    )


def percentiles(values: Sequence[float] | Array) -> dict[str, float]:
    """Quartiles, 95th percentile, extremes and whiskers of some numbers; empty for none.

    Whiskers are 1.5 interquartile ranges from the quartiles, cut at the extremes; percentiles are
    interpolated linearly. The names are those of SageMaker's reports.
    """
    if len(values) == 0:
        return {}
    p25, p50, p75, p95 = (float(one) for one in np.percentile(values, (25, 50, 75, 95)))
    low, high = float(np.min(values)), float(np.max(values))
    reach = 1.5 * (p75 - p25)
    return {
        "p25": p25, "p50": p50, "p75": p75, "p95": p95, "min": low, "max": high,
        "lower": max(low, p25 - reach), "upper": min(high, p75 + reach),
    }  # fmt: skip


def _natural(name: str) -> list[tuple[int, str]]:
    """Sorts cpu2 before cpu10."""
    return [(int(one), "") if one.isdigit() else (0, one) for one in re.split(r"(\d+)", name)]
