"""Trace of chosen steps by torch.profiler: the operators that took longest, and every one in time.

    profiler-output/framework/torch/
    ├── steps-10-12.<node>-<pid>.json.gz     for https://ui.perfetto.dev or chrome://tracing
    └── operators-10-12.<node>-<pid>.json    a row per operator, the longest first

torch is imported when the first chosen step begins. Tracing slows the steps it looks at.
"""

import json
import os
from collections.abc import Container
from pathlib import Path
from typing import Any

from stocktake.debugger.system import node_name

TOP_OPERATORS = 30


class StepTrace:
    """Traces the steps that were chosen; neighbours share one trace."""

    def __init__(self, folder: Path, steps: Container[int], *, node: str = "") -> None:
        """
        Args:
            folder: profiler-output.
            steps: numbers of the steps to look at, from 0, as `range(10, 13)`.
            node: this machine's name; empty for its host name.
        """
        self.failures: list[str] = []
        """Why a trace is missing, a line each: another profiler was on, or the disk is full."""
        self._folder = folder / "framework" / "torch"
        self._steps = steps
        self._node = node or node_name()
        self._running: Any = None
        self._first = self._last = -1

    def is_due(self, step: int) -> bool:
        """Whether this step has to be told: it is chosen, or a trace is on."""
        return self._running is not None or step in self._steps

    def before_step(self, step: int) -> None:
        """Say that a step begins; starts or ends a trace where this one is or is not chosen."""
        if step not in self._steps:
            self.close()
        elif self._running is None:
            self._start(step)
        self._last = step

    def close(self) -> None:
        """End the trace that is on, and write it."""
        if self._running is not None:
            running, self._running = self._running, None
            self._finish(running)

    def _start(self, step: int) -> None:
        import torch
        from torch.profiler import ProfilerActivity, profile

        if torch.autograd._profiler_enabled():  # starting ours would end that one in silence
            self.failures.append(f"step {step} is not traced: another profiler is on")
            return
        activities = [ProfilerActivity.CPU]
        if torch.cuda.is_available():
            activities.append(ProfilerActivity.CUDA)
        self._first = step
        try:
            running = profile(activities=activities, record_shapes=False, profile_memory=True)
            running.start()
        except RuntimeError as error:
            self.failures.append(f"step {step} could not be traced: {error}")
            return
        self._running = running

    def _finish(self, running: Any) -> None:
        name = f"{self._first}-{self._last}"
        owner = f"{self._node}-{os.getpid()}"
        try:
            running.stop()
            self._folder.mkdir(parents=True, exist_ok=True)
            rows = operators(running.key_averages())
            told = {"steps": [self._first, self._last], "node": self._node, "operators": rows}
            text = json.dumps(told, indent=1)
            path = self._folder / f"operators-{name}.{owner}.json"
            path.write_text(text + "\n", encoding="utf-8")
            running.export_chrome_trace(str(self._folder / f"steps-{name}.{owner}.json.gz"))
        except (OSError, RuntimeError) as error:
            self.failures.append(f"the trace of steps {name} could not be written: {error}")


def operators(averages: Any, top: int = TOP_OPERATORS) -> list[dict[str, Any]]:
    """The operators that took longest in themselves, the longest first.

    Args:
        averages: what `torch.profiler.profile.key_averages` gives.
        top: how many.

    Returns:
        Rows with name, calls, times in milliseconds and bytes that it took and did not give back.
    """
    rows = [
        {
            "name": str(one.key),
            "calls": int(one.count),
            "self_cpu_ms": round(one.self_cpu_time_total / 1e3, 3),
            "cpu_ms": round(one.cpu_time_total / 1e3, 3),
            "self_device_ms": round(getattr(one, "self_device_time_total", 0) / 1e3, 3),
            "self_memory_bytes": int(one.self_cpu_memory_usage)
            + int(getattr(one, "self_device_memory_usage", 0)),
        }
        for one in averages
        if not str(one.key).startswith(("ProfilerStep", "[memory]"))
    ]
    by = "self_device_ms" if any(row["self_device_ms"] for row in rows) else "self_cpu_ms"
    return sorted(rows, key=lambda row: row[by], reverse=True)[:top]


def read_operators(folder: Path) -> list[dict[str, Any]]:
    """The tables of a profiler-output folder, by their first step; damaged ones are left out."""
    found = []
    for path in sorted((folder / "framework" / "torch").glob("operators-*.json")):
        try:
            told = json.loads(path.read_text(encoding="utf-8"))
            found.append((int(told["steps"][0]), dict(told)))
        except (OSError, ValueError, KeyError, TypeError, IndexError):
            continue
    return [told for _, told in sorted(found, key=lambda one: one[0])]
