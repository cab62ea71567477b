"""What holds the GPU up: CPUBottleneck, IOBottleneck."""

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
from stocktake.debugger.samples import CPU, GPU, IO_WAIT, Profile, Sample


@profiler_rule(
    "CPUBottleneck",
    advice="Take work off the CPU: more loader workers if cores are idle, smaller photos or less"
    " augmentation if none are, or preprocessing done once beforehand.",
    percents=("threshold", "gpu_threshold", "cpu_threshold"),
    profiles={"manual": {"patience": 100}},
)
def cpu_bottleneck(
    profile: Profile,
    *,
    threshold: float = 50.0,
    gpu_threshold: float = 10.0,
    cpu_threshold: float = 90.0,
    patience: int = 1000,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The GPU stands still because the CPU cannot keep up.

    In more than `threshold` % of the rounds of samples, some core is over `cpu_threshold` while
    some GPU is under `gpu_threshold`.
    """
    if not profile.has(GPU):
        return Outcome(note=f"not judged: {NO_GPU}, and a busy CPU is what is wanted here")
    return _bottleneck(
        profile,
        (CPU, "a core is over", cpu_threshold),
        gpu_threshold=gpu_threshold,
        threshold=threshold,
        patience=patience,
        scan_s=scan_interval_us / 1e6,
    )


@profiler_rule(
    "IOBottleneck",
    advice="Bring the data nearer: shards instead of single files, a local copy, a faster disk, or"
    " more loader workers to read ahead.",
    percents=("threshold", "gpu_threshold", "io_threshold"),
    profiles={"manual": {"gpu_threshold": 70.0}},
)
def io_bottleneck(
    profile: Profile,
    *,
    threshold: float = 50.0,
    gpu_threshold: float = 10.0,
    io_threshold: float = 50.0,
    patience: int = 1000,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The GPU stands still because the CPU waits for disk or network; without one, the CPU alone.

    In more than `threshold` % of the rounds of samples, some core waits more than `io_threshold`
    of its time while some GPU is under `gpu_threshold`. On a machine without a GPU the wait alone
    is judged.
    """
    found = _bottleneck(
        profile,
        (IO_WAIT, "a core's wait for I/O is over", io_threshold),
        gpu_threshold=gpu_threshold if profile.has(GPU) else None,
        threshold=threshold,
        patience=patience,
        scan_s=scan_interval_us / 1e6,
    )
    if not profile.has(GPU):
        found.note = joined(found.note, f"{NO_GPU}; the wait of the CPU alone is judged")
    return found


def _bottleneck(
    profile: Profile,
    held: tuple[str, str, float],
    *,
    gpu_threshold: float | None,
    threshold: float,
    patience: int,
    scan_s: float,
) -> Outcome:
    """Share of rounds in which something is over its bound while a GPU is under its own.

    Args:
        profile: what was seen.
        held: dimension, its words, and its bound in %.
        gpu_threshold: the GPU's bound in %; None to leave it out.
        threshold: the share that is too much, in %.
        patience: rounds that are needed first.
        scan_s: seconds between two looks.
    """
    found, rounds = Outcome(), []
    dimension, words, bound = held
    for node in profile.nodes():
        seen = hits = 0
        due = profile.first_time + scan_s
        fired = False
        groups = profile.rounds(node, dimension, GPU)
        for place, group in enumerate(groups):
            seen += 1
            hits += _is_held(group, dimension, bound, gpu_threshold)
            is_last = place + 1 == len(groups)
            if not is_last and groups[place + 1][0].time < due:
                continue
            due = max(due, group[0].time) + scan_s
            share = 100 * hits / seen
            if seen > patience and share > threshold and not fired:
                fired = True
                idle = "" if gpu_threshold is None else f" and a GPU under {gpu_threshold:g} %"
                found.troubles.append(
                    Trouble(
                        message=f"{node}: {share:.0f} % of the time {words} {bound:g} %{idle};"
                        f" threshold {threshold:g} %",
                        evidence={"share": share, "rounds": float(seen)},
                        time=group[0].time,
                        node=node,
                    )
                )
        found.violations += hits
        rounds.append(seen)
        if seen:
            found.details[node] = {"rounds": seen, "held": hits, "share": 100 * hits / seen}
    found.datapoints = of_many(rounds)
    found.note = too_few(found.datapoints, patience, "rounds of samples")
    return found


def _is_held(
    group: list[Sample], dimension: str, bound: float, gpu_threshold: float | None
) -> bool:
    over = any(one.dimension == dimension and one.value > bound for one in group)
    if gpu_threshold is None:
        return over
    return over and any(one.dimension == GPU and one.value < gpu_threshold for one in group)
