"""Figures that accuse nobody: OverallSystemUsage, OverallFrameworkMetrics."""

import numpy as np

from stocktake.debugger.profiling import SCAN_US, Outcome, profiler_rule
from stocktake.debugger.samples import Profile, percentiles

OTHER = "other"
"""Time of a step that is in no phase."""


@profiler_rule("OverallSystemUsage", advice="Nothing to do: these are figures for the report.")
def overall_system_usage(profile: Profile, *, scan_interval_us: int = SCAN_US) -> Outcome:
    """How busy each machine was: percentiles of everything that was sampled. Never fires."""
    values: dict[str, dict[str, list[float]]] = {}
    for one in profile.samples:
        values.setdefault(one.node, {}).setdefault(one.dimension, []).append(one.value)
    details = {
        node: {dimension: percentiles(seen) for dimension, seen in found.items()}
        for node, found in values.items()
    }
    return Outcome(datapoints=len(profile.samples), details=details)


@profiler_rule("OverallFrameworkMetrics", advice="Nothing to do: these are figures for the report.")
def overall_framework_metrics(profile: Profile, *, scan_interval_us: int = SCAN_US) -> Outcome:
    """Where the time of the steps went, phase by phase. Never fires."""
    details = {}
    for mode in dict.fromkeys(one.mode for one in profile.steps()):
        durations = 1e3 * np.array([one.duration_s for one in profile.steps(mode)])
        details[mode] = {
            "steps": len(durations),
            "step_ms": percentiles(durations),
            "phases": phase_times(profile, mode),
        }
    outside = phase_times(profile, "")
    if outside:
        details["outside of steps"] = {"steps": 0, "step_ms": {}, "phases": outside}
    return Outcome(datapoints=len(profile.spans), details=details)


def phase_times(profile: Profile, mode: str) -> dict[str, dict[str, float]]:
    """For each phase of a mode's steps, or of what lies outside of all steps (mode ""): times.

    Returns:
        By name, in the order first seen: total_s, calls, mean_ms and share, of the steps' time or
        of the time since the training began, in %. Of steps, what is in no phase comes last.
    """
    if mode:
        known = {(one.node, one.step) for one in profile.steps(mode)}
        wanted = [
            one for one in profile.phases() if one.mode == mode and (one.node, one.step) in known
        ]
        total = sum(one.duration_s for one in profile.steps(mode))
    else:
        wanted = [one for one in profile.phases() if one.step < 0]
        total = profile.last_time - profile.first_time
    spent: dict[str, list[float]] = {}
    for one in wanted:
        spent.setdefault(one.name, []).append(one.duration_s)
    if mode:
        rest = total - sum(sum(seconds) for seconds in spent.values())
        if rest > 0:
            spent[OTHER] = [rest]
    return {
        name: {
            "total_s": sum(seconds),
            "calls": float(len(seconds)),
            "mean_ms": 1e3 * sum(seconds) / len(seconds),
            "share": 100 * sum(seconds) / total if total else 0.0,
        }
        for name, seconds in spent.items()
    }
