import numpy as np
import pytest
from profiled import machine

from stocktake.debugger import samples as known
from stocktake.debugger.profiling import find
from stocktake.debugger.samples import Profile


def seen(share, *, dimension=known.CPU, high=96.0, gpu=4.0, rounds=1200, busy_gpu=85.0):
    """In a share of the rounds one core is high while the GPU stands still; else the GPU works."""
    held = np.arange(rounds) % 100 < share
    return Profile(
        samples=machine(
            {
                ("cpu0", dimension): np.where(held, high, 20.0),
                ("cpu1", dimension): np.full(rounds, 15.0),
                ("gpu0", known.GPU): np.where(held, gpu, busy_gpu),
            }
        )
    )


CASES = pytest.mark.parametrize(
    ("rule", "dimension", "high", "under"),
    [("CPUBottleneck", known.CPU, 96.0, 85.0), ("IOBottleneck", known.IO_WAIT, 60.0, 45.0)],
)


@CASES
def test_a_gpu_held_up_most_of_the_time_is_found(rule, dimension, high, under):
    verdict = find(rule).verdict(seen(70, dimension=dimension, high=high))
    (trouble,) = verdict.outcome.troubles

    assert trouble.evidence["share"] == pytest.approx(70, abs=3) and trouble.node == "algo-1"
    assert verdict.outcome.violations == 840 and verdict.outcome.datapoints == 1200


@CASES
def test_a_gpu_held_up_now_and_then_is_fine(rule, dimension, high, under):
    verdict = find(rule).verdict(seen(30, dimension=dimension, high=high))

    assert verdict.status == "NoIssuesFound" and verdict.is_judged
    assert verdict.outcome.details["algo-1"]["share"] == pytest.approx(30)


@CASES
def test_cores_under_their_bound_hold_nothing_up(rule, dimension, high, under):
    assert not find(rule).verdict(seen(90, dimension=dimension, high=under)).outcome.troubles


@CASES
def test_a_gpu_at_work_is_not_held_up(rule, dimension, high, under):
    assert not find(rule).verdict(seen(90, dimension=dimension, high=high, gpu=75)).outcome.troubles


@CASES
def test_patience_must_be_exceeded(rule, dimension, high, under):
    few = find(rule).verdict(seen(90, dimension=dimension, high=high, rounds=1000))

    assert not few.outcome.troubles and not few.is_judged
    assert "1000 rounds of samples" in few.outcome.note
    assert (
        find(rule).verdict(seen(90, dimension=dimension, high=high, rounds=1001)).outcome.troubles
    )


def test_profiles_differ_as_the_manual_does():
    io = find("IOBottleneck")
    waits = seen(70, dimension=known.IO_WAIT, high=60, gpu=40)

    assert not io.verdict(waits).outcome.troubles
    assert io.verdict(waits, profile="manual").outcome.troubles
    few = seen(70, rounds=150)
    assert not find("CPUBottleneck").verdict(few).is_judged
    assert find("CPUBottleneck").verdict(few, profile="manual").outcome.troubles


def test_what_was_found_in_one_scan_stays_found():
    held = np.arange(4000) < 1100
    values = {
        ("cpu0", known.CPU): np.where(held, 96.0, 20.0),
        ("gpu0", known.GPU): np.where(held, 3.0, 90.0),
    }

    assert find("CPUBottleneck").verdict(Profile(samples=machine(values))).outcome.troubles


@pytest.mark.parametrize(("wait", "fires"), [(5.0, False), (70.0, True)])
def test_without_a_gpu_waiting_for_io_is_judged_alone(wait, fires):
    verdict = find("IOBottleneck").verdict(
        Profile(samples=machine({("cpu0", known.IO_WAIT): np.full(1200, wait)}))
    )

    assert bool(verdict.outcome.troubles) == fires and verdict.is_judged
    assert "no GPU was seen; the wait of the CPU alone is judged" in verdict.outcome.note


def test_without_a_gpu_a_busy_cpu_is_what_is_wanted():
    verdict = find("CPUBottleneck").verdict(
        Profile(samples=machine({("cpu0", known.CPU): np.full(1200, 99.0)}))
    )

    assert verdict.status == "NoIssuesFound" and not verdict.is_judged
