"""Does the loop run evenly: MaxInitializationTime, StepOutlier, Dataloader, and our DataWait."""

from bisect import bisect_right
from statistics import median

import numpy as np

from stocktake.debugger.errors import RuleError
from stocktake.debugger.profiling import (
    SCAN_US,
    Outcome,
    Trouble,
    profiler_rule,
    scans,
    too_few,
)
from stocktake.debugger.samples import Profile, percentiles

ENOUGH_STEPS = 100
MODES = ("train", "eval", "predict")


@profiler_rule(
    "MaxInitializationTime",
    advice="See what comes before the first step: downloads, listing of a bucket, building of"
    " caches; do it once beforehand.",
)
def max_initialization_time(
    profile: Profile, *, threshold: float = 20.0, scan_interval_us: int = SCAN_US
) -> Outcome:
    """The first step takes too long to begin.

    It has not begun after `threshold` minutes.
    """
    steps = profile.steps()
    start, last = profile.first_time, profile.last_time
    first = min((one.time for one in steps), default=last)
    minutes = (first - start) / 60
    found = Outcome(datapoints=len(steps), details={"minutes": minutes})
    if not profile.samples and not steps:
        found.note = "not judged: nothing was seen yet"
    if minutes > threshold:
        words = "the first step began after" if steps else "no step has begun for"
        found.violations = 1
        found.troubles.append(
            Trouble(
                message=f"{words} {minutes:.1f} minutes; threshold {threshold:g}",
                evidence={"minutes": minutes},
                time=start + 60 * threshold,
            )
        )
    return found


@profiler_rule(
    "StepOutlier",
    advice="Compare the long steps' phases with those of the others: checkpoints, evaluation, slow"
    " reads or another program on the machine show there.",
    profiles={"manual": {"stddev": 5.0}},
)
def step_outlier(
    profile: Profile,
    *,
    stddev: float = 3.0,
    mode: str | None = None,
    n_outliers: int = 10,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """Some steps take much longer than the others.

    Of more than 100 steps of a mode, more than `n_outliers` are longer than the mean and `stddev`
    standard deviations. `mode` is "train" or "eval"; both if it is not given.
    """
    asked = (_mode(mode),) if mode else ("train", "eval")
    found = Outcome()
    most = 0
    for one in asked:
        steps = sorted(profile.steps(one), key=lambda step: step.time + step.duration_s)
        ends = np.array([step.time + step.duration_s for step in steps])
        durations = np.array([step.duration_s for step in steps])
        found.datapoints += len(steps)
        most = max(most, len(steps))
        fired = False
        for known in scans(ends, profile.first_time, scan_interval_us):
            if known <= ENOUGH_STEPS:
                continue
            seen = durations[:known]
            bound = seen.mean() + stddev * seen.std()
            outliers = np.flatnonzero(seen > bound)
            found.details[one] = {
                "outliers": len(outliers),
                "bound_ms": 1e3 * float(bound),
                "steps": [steps[place].step for place in outliers[:20]],
                "ms": percentiles(1e3 * seen),
            }
            if len(outliers) > n_outliers and not fired:
                fired = True
                worst = int(seen.argmax())
                found.troubles.append(
                    Trouble(
                        message=f"{len(outliers)} of {known} {one} steps took over"
                        f" {1e3 * bound:.0f} ms, {stddev:g} standard deviations over the mean of"
                        f" {1e3 * seen.mean():.0f} ms; the longest is step {steps[worst].step}"
                        f" with {1e3 * seen[worst]:.0f} ms; up to {n_outliers} are let pass",
                        evidence={"outliers": float(len(outliers)), "bound_s": float(bound)},
                        time=float(ends[known - 1]),
                    )
                )
        found.violations += found.details.get(one, {}).get("outliers", 0)
    found.note = too_few(most, ENOUGH_STEPS, "steps")
    return found


def _mode(name: str) -> str:
    """ "ModeKeys.TRAIN", "TRAIN" and "train" are one.

    Raises:
        RuleError: if it is none of the modes.
    """
    plain = name.rpartition(".")[2].lower()
    if plain not in MODES:
        raise RuleError(f"rule StepOutlier: mode must be one of {', '.join(MODES)}, got {name!r}")
    return plain


@profiler_rule(
    "Dataloader",
    advice="Set the loader's workers to about the number of cores: too few starve the loop, too"
    " many hinder each other.",
)
def dataloader(
    profile: Profile,
    *,
    min_threshold: float = 70.0,
    max_threshold: float = 200.0,
    patience: int = 10,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The number of processes that load data does not fit the number of cores.

    The median over the steps is under `min_threshold` % or over `max_threshold` % of the cores. A
    loop that loads by itself counts as one process.
    """
    began = [time for time, _ in profile.workers]
    loading = [
        max(1, profile.workers[place - 1][1])
        for step in profile.steps()
        if (place := bisect_right(began, step.time))
    ]
    cores = profile.core_count()
    found = Outcome(datapoints=len(loading), note=too_few(len(loading), patience, "steps"))
    if not cores:
        found.note = "not judged: the number of cores is not known"
    if found.note:
        return found
    workers = float(median(loading))
    share = 100 * workers / cores
    waited = wait_share(profile)
    found.details = {"workers": workers, "cores": cores, "share": share, "data_wait": waited}
    bound = min_threshold if share < min_threshold else max_threshold
    if share < min_threshold or share > max_threshold:
        found.violations = len(loading)
        found.troubles.append(
            Trouble(
                message=f"{workers:g} {'process loads' if workers == 1 else 'processes load'} data"
                f" on {cores} cores, {share:.0f} %; threshold {bound:g} %."
                f" The loop waits for data {waited:.0f} % of its time",
                evidence={"workers": workers, "cores": float(cores), "data_wait": waited},
                time=profile.last_time,
            )
        )
    return found


@profiler_rule(
    "DataWait",
    advice="Give the loader more workers and let them read ahead; if the cores are all busy, make"
    " loading cheaper: smaller photos, shards, preprocessing done once.",
    percents=("threshold",),
)
def data_wait(
    profile: Profile,
    *,
    threshold: float = 20.0,
    patience: int = 10,
    scan_interval_us: int = SCAN_US,
) -> Outcome:
    """The loop waits for its data. (Not one of SageMaker's.)

    The phase "data wait" takes more than `threshold` % of the time of the training steps.
    """
    steps = profile.steps("train")
    found = Outcome(datapoints=len(steps), note=too_few(len(steps), patience, "steps"))
    if found.note:
        return found
    share = wait_share(profile)
    found.details = {"share": share}
    if share > threshold:
        mean_ms = 1e3 * share / 100 * sum(one.duration_s for one in steps) / len(steps)
        found.violations = 1
        found.troubles.append(
            Trouble(
                message=f"{share:.0f} % of the time of a step is a wait for data,"
                f" {mean_ms:.1f} ms on average; threshold {threshold:g} %",
                evidence={"share": share},
                time=profile.last_time,
            )
        )
    return found


def wait_share(profile: Profile) -> float:
    """Share of the training steps' time that is a wait for data, %; 0 without steps."""
    steps = {(one.node, one.step): one.duration_s for one in profile.steps("train")}
    waited = sum(
        one.duration_s
        for one in profile.phases()
        if one.name == "data wait" and one.mode == "train" and (one.node, one.step) in steps
    )
    total = sum(steps.values())
    return min(100.0, 100 * waited / total) if total else 0.0
