"""Are the expensive devices at work: LowGPUUtilization, BatchSize, LoadBalancing."""

from itertools import combinations

import numpy as np

from stocktake.debugger.profiling import (
    SCAN_US,
    Outcome,
    Trouble,
    joined,
    of_many,
    profiler_rule,
    scans,
    too_few,
)
from stocktake.debugger.samples import CPU, GPU, GPU_MEMORY, Array, Device, Profile

NO_GPU = "no GPU was seen"
HISTOGRAM_EDGES = np.arange(0.0, 101.0, 2.0)
"""SageMaker's end at 98, which loses a GPU that is always full; up to there they are the same."""


@profiler_rule(
    "LowGPUUtilization",
    advice="Find what it waits for in the phases: give the loader more workers, raise the batch"
    " size, or take a smaller machine.",
    percents=("threshold_p95", "threshold_p5"),
)
def low_gpu_utilization(
    profile: Profile,
    *,
    threshold_p95: float = 70.0,
    threshold_p5: float = 10.0,
    window: int = 500,
    patience: int = 1000,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """A GPU is used little, or in bursts; without one, the CPU.

    Of the last `window` samples of each GPU, the 95th percentile is under `threshold_p95`; or it is
    over it while the 5th is under `threshold_p5`. On a machine without a GPU the mean of its cores
    is judged by the same thresholds.
    """
    series, kind, note = profile.devices(GPU), "GPU", ""
    if not series:
        kind, note = "CPU", f"{NO_GPU}; the mean of the CPU's cores is judged in its place"
        series = {
            Device(node, "cpu"): profile.over_devices(CPU, node)
            for node in profile.nodes()
            if profile.has(CPU, node)
        }
    found = Outcome(datapoints=of_many([len(values) for _, values in series.values()]))
    for device, (times, values) in series.items():
        first: Trouble | None = None
        for known in scans(times, profile.first_time, scan_interval_us):
            if known <= patience:
                continue
            p5, p95 = (float(one) for one in np.percentile(values[:known][-window:], (5, 95)))
            if p95 < threshold_p95:
                text = f"is used little: 95 % of the time under {p95:.0f} %, below"
                text += f" the threshold of {threshold_p95:g} %"
                text += "; it was never used at all" if not values[:known].any() else ""
            elif p95 > threshold_p95 and p5 < threshold_p5:
                text = f"is used in bursts: {p95:.0f} % at times, but 5 % of the time"
                text += f" under {p5:.0f} %, below the threshold of {threshold_p5:g} %"
            else:
                continue
            found.violations += 1
            first = first or Trouble(
                message=f"{kind} {device.name} of {device.node} {text}",
                evidence={"p5": p5, "p95": p95, "samples": float(known)},
                time=float(times[known - 1]),
                node=device.node,
                device=device.name,
            )
        found.troubles += [first] if first else []
    found.note = joined(too_few(found.datapoints, patience), note)
    return found


@profiler_rule(
    "BatchSize",
    advice="Raise the batch size until the GPU's memory is well filled, and the learning rate"
    " with it; or take a smaller machine.",
    percents=("cpu_threshold_p95", "gpu_threshold_p95", "gpu_memory_threshold_p95"),
    profiles={"manual": {"patience": 100}},
)
def batch_size(
    profile: Profile,
    *,
    cpu_threshold_p95: float = 70.0,
    gpu_threshold_p95: float = 70.0,
    gpu_memory_threshold_p95: float = 70.0,
    window: int = 500,
    patience: int = 1000,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The batch may be too small: CPU, GPU and the GPU's memory are all used little.

    Of the last `window` samples, the 95th percentiles of the mean over cores, of a GPU and of its
    memory are each under their threshold.
    """
    gpus, memories = profile.devices(GPU), profile.devices(GPU_MEMORY)
    if not gpus:
        return Outcome(note=f"not judged: {NO_GPU}")
    found = Outcome(datapoints=of_many([len(values) for _, values in gpus.values()]))
    for device, (times, busy) in gpus.items():
        cpu_times, cpu = profile.over_devices(CPU, device.node)
        memory_times, memory = memories.get(device, (np.array([]), np.array([])))
        first: Trouble | None = None
        for known in scans(times, profile.first_time, scan_interval_us):
            now = times[known - 1]
            seen = [
                busy[:known],
                cpu[: np.searchsorted(cpu_times, now, side="right")],
                memory[: np.searchsorted(memory_times, now, side="right")],
            ]
            if min(len(one) for one in seen) <= max(window, patience):
                continue
            gpu95, cpu95, memory95 = (float(np.percentile(one[-window:], 95)) for one in seen)
            if not (
                gpu95 < gpu_threshold_p95
                and cpu95 < cpu_threshold_p95
                and memory95 < gpu_memory_threshold_p95
            ):
                continue
            found.violations += 1
            first = first or Trouble(
                message=f"{device.name} of {device.node} has room for larger batches: 95 % of the"
                f" time GPU under {gpu95:.0f} %, its memory under {memory95:.0f} %, CPU under"
                f" {cpu95:.0f} %; thresholds {gpu_threshold_p95:g}, {gpu_memory_threshold_p95:g}"
                f" and {cpu_threshold_p95:g} %",
                evidence={"gpu_p95": gpu95, "gpu_memory_p95": memory95, "cpu_p95": cpu95},
                time=float(now),
                node=device.node,
                device=device.name,
            )
        found.troubles += [first] if first else []
    found.note = too_few(found.datapoints, max(window, patience))
    return found


@profiler_rule(
    "LoadBalancing",
    advice="Give each GPU the same work: even shards, and DistributedDataParallel rather than one"
    " process that hands out the work.",
    percents=("threshold",),
    profiles={"manual": {"patience": 10}},
)
def load_balancing(
    profile: Profile,
    *,
    threshold: float = 0.5,
    patience: int = 1000,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """GPUs of one machine are used unequally.

    The Jensen-Shannon distance of two GPUs' histograms of utilisation, in nats (0 for equal, 0.83
    for nothing in common), is over `threshold`.
    """
    gpus = profile.devices(GPU)
    found = Outcome(datapoints=of_many([len(values) for _, values in gpus.values()]))
    pairs = [(a, b) for a, b in combinations(gpus, 2) if a.node == b.node]
    if not pairs:
        found.note = "not judged: it takes two GPUs in one machine"
        return found
    for a, b in pairs:
        (times, first_values), (other_times, second_values) = gpus[a], gpus[b]
        fired = False
        for known in scans(times, profile.first_time, scan_interval_us):
            other = int(np.searchsorted(other_times, times[known - 1], side="right"))
            if min(known, other) <= patience:
                continue
            distance = histogram_distance(first_values[:known], second_values[:other])
            if distance <= threshold:
                continue
            found.violations += 1
            if not fired:
                fired = True
                means = first_values[:known].mean(), second_values[:other].mean()
                found.troubles.append(
                    Trouble(
                        message=f"{a.name} and {b.name} of {a.node} are used unequally:"
                        f" {means[0]:.0f} and {means[1]:.0f} % on average, distance"
                        f" {distance:.2f}, threshold {threshold:g}",
                        evidence={"distance": distance},
                        time=float(times[known - 1]),
                        node=a.node,
                        device=f"{a.name}, {b.name}",
                    )
                )
    found.note = too_few(found.datapoints, patience)
    return found


def histogram_distance(first: Array, second: Array) -> float:
    """Jensen-Shannon distance of the histograms of two lists of percentages, in nats to the half.

    sqrt((KL(p, m) + KL(q, m)) / 2), with m proportional to the mean of the *counts*, as SageMaker
    has it; it is the usual one where both lists are as long.
    """
    p, q = (np.histogram(one, HISTOGRAM_EDGES)[0].astype(float) for one in (first, second))
    if not p.sum() or not q.sum():
        return 0.0
    m = (p + q) / 2
    return float(np.sqrt(max(0.0, (_divergence(p, m) + _divergence(q, m)) / 2)))


def _divergence(p: Array, m: Array) -> float:
    """Kullback-Leibler divergence of two lists of counts, in nats."""
    p, m = p / p.sum(), m / m.sum()
    has = p > 0
    return float((p[has] * np.log(p[has] / m[has])).sum())
