"""Does memory fill up: GPUMemoryIncrease, and MemoryLeak, which is ours."""

import numpy as np

from stocktake.debugger.profiling import (
    SCAN_US,
    Outcome,
    Trouble,
    joined,
    of_many,
    profiler_rule,
    too_few,
)
from stocktake.debugger.profiling.utilisation import NO_GPU
from stocktake.debugger.samples import (
    GPU_MEMORY,
    MEMORY,
    PROCESS_MEMORY,
    Array,
    Device,
    Profile,
    percentiles,
)

LEAK_BLOCKS = 10
WARM_UP = 0.2
"""Share of the samples at the beginning that are left out: caches and pools fill up then."""
RISES = 8
"""Of the nine steps between ten blocks; noise alone has eight or more in 2 % of all cases."""


@profiler_rule(
    "GPUMemoryIncrease",
    advice="Look for tensors that are kept with their graph, as a loss added up without"
    " detach(); if it is the model that grew, a smaller batch leaves it room.",
    percents=("increase",),
    profiles={"manual": {"increase": 10.0, "patience": 100, "window": 500}},
)
def gpu_memory_increase(
    profile: Profile,
    *,
    increase: float = 5.0,
    patience: int = 1000,
    window: int = 10,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The memory in use jumps up; without a GPU, the main memory.

    The mean of the last `window` samples is more than `increase` percentage points over that of
    the window before. As in SageMaker, that one begins a sample earlier and is a sample shorter,
    so a sudden jump shows and a slow leak does not: that is what MemoryLeak is for. It is looked
    at after every sample; `scan_interval_us` is taken for SageMaker's sake.
    """
    series, words, note = profile.devices(GPU_MEMORY), "the GPU's memory", ""
    if not series:
        series, words = _main_memory(profile), "the machine's memory"
        note = f"{NO_GPU}; main memory is judged in its place"
    found = Outcome(datapoints=of_many([len(values) for _, values in series.values()]))
    for device, (times, values) in series.items():
        rises = moving_rise(values, window)  # (n - window,), for n = window + 1 points and on
        counts = np.arange(window + 1, window + 1 + len(rises))
        fired = np.flatnonzero((rises > increase) & (counts > max(patience, window + 1)))
        found.violations += len(fired)
        if len(fired):
            first = int(fired[0])
            found.troubles.append(
                Trouble(
                    message=f"{device.name} of {device.node}: {words} rose by"
                    f" {rises[first]:.1f} percentage points between two windows of {window}"
                    f" samples; threshold {increase:g}",
                    evidence={"rise": float(rises[first])},
                    time=float(times[counts[first] - 1]),
                    node=device.node,
                    device=device.name,
                )
            )
    found.note = joined(too_few(found.datapoints, max(patience, window + 1)), note)
    return found


def moving_rise(values: Array, window: int) -> Array:
    """mean(v[-window:]) - mean(v[-window-1:-2]) of the first n values, for n = window + 1 and on.

    The second slice has window - 1 values: SageMaker's own. A window of 1 has none, and gets the
    value before.
    """
    if len(values) <= window:
        return np.array([])
    sums = np.concatenate([[0.0], np.cumsum(values)])
    ends = np.arange(window + 1, len(values) + 1)
    late = (sums[ends] - sums[ends - window]) / window
    if window == 1:
        return late - values[ends - 2]
    early = (sums[ends - 2] - sums[ends - window - 1]) / (window - 1)
    return np.asarray(late - early)


@profiler_rule(
    "MemoryLeak",
    advice="Keep numbers, not tensors: loss.item() or loss.detach(); look for lists that grow with"
    " every step, and for workers that are made anew in each epoch.",
    percents=("increase",),
)
def memory_leak(
    profile: Profile,
    *,
    increase: float = 5.0,
    patience: int = 100,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """Memory rises all the time, in a GPU or in the process. (Not one of SageMaker's.)

    The first fifth of the samples is left out. The others are cut into ten blocks: their medians
    rise at least eight times out of nine, and by more than `increase` percentage points in all.
    """
    series = profile.devices(GPU_MEMORY) | _main_memory(profile)
    found = Outcome(datapoints=of_many([len(values) for _, values in series.values()]))
    for device, (times, values) in series.items():
        if len(values) <= max(patience, 2 * LEAK_BLOCKS):
            continue
        late = values[int(WARM_UP * len(values)) :]
        medians = np.array([np.median(one) for one in np.array_split(late, LEAK_BLOCKS)])
        rise = float(medians[-1] - medians[0])
        rises = int((np.diff(medians) > 0).sum())
        found.details[f"{device.node} {device.name}"] = {"rise": rise, **percentiles(values)}
        if rises >= RISES and rise > increase:
            hours = (times[-1] - times[len(values) - len(late)]) / 3600
            found.violations += rises
            found.troubles.append(
                Trouble(
                    message=f"{device.name} of {device.node}: memory rose all the time, by"
                    f" {rise:.1f} percentage points in {60 * hours:.1f} minutes;"
                    f" threshold {increase:g}",
                    evidence={"rise": rise, "rises": float(rises), "last": float(medians[-1])},
                    time=float(times[-1]),
                    node=device.node,
                    device=device.name,
                )
            )
    found.note = too_few(found.datapoints, max(patience, 2 * LEAK_BLOCKS))
    return found


def _main_memory(profile: Profile) -> dict[Device, tuple[Array, Array]]:
    """The process's own where it is known: other programs come and go."""
    return profile.devices(PROCESS_MEMORY) or profile.devices(MEMORY)
