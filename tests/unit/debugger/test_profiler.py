"""A small real loop, well and ill: what the profiler saw of it has to tell which it was."""

import time
from pathlib import Path

import pytest

from stocktake.debugger.errors import DebuggerError
from stocktake.debugger.profile_report import judge
from stocktake.debugger.profiler import Profiler
from stocktake.debugger.samples import PROCESS_MEMORY, read
from stocktake.debugger.trace import read_operators

torch = pytest.importorskip("torch")


class Loader:
    """Batches of noise; `wait_s` is the slow disk behind them."""

    def __init__(self, batches, wait_s=0.0):
        self.batches, self.wait_s = batches, wait_s

    def __iter__(self):
        for _ in range(self.batches):
            time.sleep(self.wait_s)
            yield torch.randn(64, 256)


def train(profiler, loader, *, sleepy=(), size=256, keep=None):
    """A loop as anyone would write it, with the profiler's lines."""
    model = torch.nn.Sequential(
        torch.nn.Linear(size, 512), torch.nn.ReLU(), torch.nn.Linear(512, 1)
    )
    optimizer = torch.optim.SGD(model.parameters(), lr=1e-3)
    for step, batch in enumerate(profiler.watch(loader)):
        with profiler("forward"):
            loss = model(batch).square().mean()
        with profiler("backward"):
            loss.backward()
        with profiler("optimizer"):
            optimizer.step()
            optimizer.zero_grad()
        if step in sleepy:
            time.sleep(0.25)
        if keep is not None:
            keep.append(torch.ones(keep.megabytes * 262_144))
            time.sleep(0.03)


def verdicts(folder, **parameters):
    return {one.rule: one for one in judge(read(folder), parameters)}


def test_an_even_loop_is_seen_step_by_step(tmp_path):
    with Profiler(tmp_path, interval_s=0.1, trace_steps=range(5, 7), node="here") as profiler:
        train(profiler, Loader(120))
    seen = read(tmp_path)
    found = verdicts(tmp_path)

    assert len(seen.steps("train")) == 120 and seen.nodes() == ["here"] and seen.damaged == 0
    shares = found["OverallFrameworkMetrics"].outcome.details["train"]["phases"]
    assert set(shares) >= {"data wait", "forward", "backward", "optimizer"}
    assert sum(one["share"] for one in shares.values()) == pytest.approx(100)
    assert found["MaxInitializationTime"].status == "NoIssuesFound"
    assert read_operators(tmp_path)[0]["steps"] == [5, 6]
    assert "aten::addmm" in {row["name"] for row in read_operators(tmp_path)[0]["operators"]}
    # tracing takes its time between two steps, not in one
    assert {one.step for one in seen.spans if one.name == "trace"} == {-1}


def test_a_starved_loop_is_found(tmp_path):
    with Profiler(tmp_path, interval_s=0.1) as profiler:
        train(profiler, Loader(30, wait_s=0.03))
    found = verdicts(tmp_path)

    assert found["DataWait"].status == "IssuesFound"
    assert found["DataWait"].outcome.details["share"] > 50


def test_a_loop_that_is_fed_well_is_not_called_starved(tmp_path):
    with Profiler(tmp_path, interval_s=0.1) as profiler:
        train(profiler, [torch.randn(64, 256)] * 30)
    verdict = verdicts(tmp_path)["DataWait"]

    assert verdict.is_judged and verdict.status == "NoIssuesFound"


def test_steps_that_sleep_are_found_and_named(tmp_path):
    sleepy = range(20, 300, 25)  # twelve
    with Profiler(tmp_path, interval_s=0.1) as profiler:
        train(profiler, Loader(300), sleepy=sleepy)
    verdict = verdicts(tmp_path)["StepOutlier"]

    assert verdict.status == "IssuesFound"
    assert set(sleepy) <= set(verdict.outcome.details["train"]["steps"])


class Kept(list):
    def __init__(self, megabytes):
        self.megabytes = megabytes


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux")
@pytest.mark.parametrize(("megabytes", "fires"), [(4, True), (0, False)])
def test_a_loop_that_leaks_is_found_and_one_that_does_not_is_not(tmp_path, megabytes, fires):
    kept = Kept(megabytes)
    with Profiler(tmp_path, interval_s=0.1) as profiler:
        train(profiler, Loader(90), keep=kept)
    (times, _), *_ = read(tmp_path).devices(PROCESS_MEMORY).values()
    third = 100 * 90 * 4 * 1_048_576 / _memory_bytes() / 3
    found = verdicts(tmp_path, MemoryLeak_patience=20, MemoryLeak_increase=third)

    assert len(times) > 20 and found["MemoryLeak"].is_judged
    assert (found["MemoryLeak"].status == "IssuesFound") == fires


def _memory_bytes():
    lines = Path("/proc/meminfo").read_text().splitlines()
    return 1024 * int(next(one.split()[1] for one in lines if one.startswith("MemTotal")))


def test_a_loop_that_fails_leaves_what_was_seen(tmp_path):
    with (
        pytest.raises(ZeroDivisionError),
        Profiler(tmp_path, interval_s=0.1, trace_steps=range(9)) as profiler,
    ):
        for step, _ in enumerate(profiler.watch(range(5))):
            if step == 3:
                raise ZeroDivisionError

    assert len(read(tmp_path).steps()) == 3 and read(tmp_path).samples


def test_evaluation_is_not_traced(tmp_path):
    with Profiler(tmp_path, interval_s=0.1, trace_steps=range(9)) as profiler:
        for _ in profiler.watch(range(3), mode="eval"):
            pass

    assert read_operators(tmp_path) == [] and len(read(tmp_path).steps("eval")) == 3


def test_a_full_disk_never_hurts_the_loop(tmp_path):
    (tmp_path / "system").write_text("in the way")
    (tmp_path / "framework").write_text("in the way")
    with Profiler(tmp_path, interval_s=0.1, trace_steps=range(1, 3)) as profiler:
        train(profiler, Loader(5))

    assert profiler.sampler.lost and profiler.phases.dropped and profiler.trace.failures


def test_an_interval_out_of_bounds_is_refused(tmp_path):
    with pytest.raises(DebuggerError, match="interval_s"):
        Profiler(tmp_path, interval_s=0.01)
