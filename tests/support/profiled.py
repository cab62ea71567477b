"""Profiles that nobody measured: machines and loops made of numbers, for the profiler's tests."""

from collections.abc import Mapping, Sequence

import numpy as np

from stocktake.debugger import samples as known
from stocktake.debugger.samples import Profile, Sample, Span

START = 1_700_000_000.0
TYPES = {known.CPU: "cpu", known.IO_WAIT: "cpu", known.GPU: "gpu", known.GPU_MEMORY: "gpu"}


def machine(
    devices: Mapping[tuple[str, str], Sequence[float] | np.ndarray],
    *,
    every_s: float = 0.5,
    node: str = "algo-1",
) -> list[Sample]:
    """Samples of a machine: values by (device's name, dimension), one round every so often."""
    return [
        Sample(
            type=TYPES.get(dimension, "memory"),
            name=name,
            dimension=dimension,
            value=float(value),
            node=node,
            time=START + every_s * (place + 1),
        )
        for (name, dimension), values in devices.items()
        for place, value in enumerate(values)
    ]


def loop(
    durations_s: Sequence[float] | np.ndarray,
    *,
    wait: float = 0.1,
    mode: str = "train",
    begins_s: float = 1.0,
) -> list[Span]:
    """Steps of these lengths, one after another; each first waits, then computes."""
    spans, time = [], START + begins_s
    for step, took in enumerate(float(one) for one in durations_s):
        more = {"step": step, "mode": mode}
        spans.append(Span(name="step", time=time, duration_s=took, **more))
        spans.append(Span(name="data wait", time=time, duration_s=wait * took, **more))
        spans.append(Span(name="forward", time=time + wait * took, duration_s=0.6 * took, **more))
        time += took
    return spans


def gpu_machine(
    *, gpu: float, memory: float = 80.0, cpu: float = 40.0, rounds: int = 1200
) -> Profile:
    """A machine with two cores and one GPU, all as busy as they are said to be, a little noisy."""
    noise = np.random.default_rng(0).uniform(-2, 2, (4, rounds))
    return Profile(
        samples=machine(
            {
                ("cpu0", known.CPU): cpu + noise[0],
                ("cpu1", known.CPU): cpu + noise[1],
                ("gpu0", known.GPU): np.clip(gpu + noise[2], 0, 100),
                ("gpu0", known.GPU_MEMORY): memory + noise[3],
            }
        )
    )
