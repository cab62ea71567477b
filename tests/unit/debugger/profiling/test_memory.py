import numpy as np
import pytest
from profiled import machine

from stocktake.debugger import samples as known
from stocktake.debugger.profiling import find
from stocktake.debugger.profiling.memory import moving_rise
from stocktake.debugger.samples import Profile

NOISE = np.random.default_rng(2).normal(0, 0.3, 2000)


def gpu(values):
    return Profile(samples=machine({("gpu0", known.GPU_MEMORY): values}))


def process(values):
    return Profile(
        samples=machine(
            {
                ("process", known.PROCESS_MEMORY): values,
                ("memory", known.MEMORY): np.full(len(values), 50.0),
            }
        )
    )


def jump(by, rounds=1200, at=1100):
    return np.where(np.arange(rounds) < at, 30.0, 30.0 + by)


class TestGPUMemoryIncrease:
    rule = find("GPUMemoryIncrease")

    def test_memory_that_jumps_is_found_at_the_jump(self):
        verdict = self.rule.verdict(gpu(jump(40)))
        (trouble,) = verdict.outcome.troubles

        assert trouble.device == "gpu0" and trouble.evidence["rise"] > 5
        assert 1100 <= (trouble.time - 1_700_000_000) / 0.5 - 1 <= 1104

    @pytest.mark.parametrize("values", [np.full(1200, 90.0), 50 + NOISE[:1200], jump(20)])
    def test_memory_that_stays_or_rises_a_little_is_fine(self, values):
        verdict = self.rule.verdict(gpu(values))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged

    def test_a_jump_before_patience_ends_is_let_pass(self):
        assert not self.rule.verdict(gpu(jump(40, at=500))).outcome.troubles
        assert self.rule.verdict(gpu(jump(40, at=500)), {"patience": 100}).outcome.troubles

    def test_without_a_gpu_main_memory_is_judged_and_said_so(self):
        verdict = self.rule.verdict(process(jump(40)))

        assert verdict.outcome.note == "no GPU was seen; main memory is judged in its place"
        assert [one.device for one in verdict.outcome.troubles] == ["process"]

    def test_the_manual_wants_more(self):
        assert self.rule.parameters("manual") | {"scan_interval_us": 0} == {
            "increase": 10.0, "patience": 100, "window": 500, "scan_interval_us": 0,
        }  # fmt: skip


@pytest.mark.parametrize("window", [1, 2, 10])
def test_the_window_before_is_one_sample_short_as_sagemakers_is(window):
    values = NOISE[:40]
    found = moving_rise(values, window)

    for place, rise in enumerate(found):
        v = values[: window + 1 + place]
        before = v[-window - 1 : -2] if window > 1 else v[-2:-1]
        assert rise == pytest.approx(v[-window:].mean() - before.mean())
    assert len(found) == 40 - window


def test_too_few_values_have_no_rise():
    assert len(moving_rise(NOISE[:10], 10)) == 0


class TestMemoryLeak:
    rule = find("MemoryLeak")

    @pytest.mark.parametrize("of", [gpu, process])
    def test_a_slow_leak_is_found_that_the_other_rule_cannot_see(self, of):
        leak = np.linspace(20, 60, 1200) + NOISE[:1200]

        assert not find("GPUMemoryIncrease").verdict(of(leak)).outcome.troubles
        (trouble,) = self.rule.verdict(of(leak)).outcome.troubles
        assert trouble.evidence["rise"] == pytest.approx(29, abs=2) and "all the time" in (
            trouble.message
        )

    @pytest.mark.parametrize(
        "values",
        [
            50 + NOISE[:1200],
            np.minimum(70, 20 + np.arange(1200) * 0.3),  # fills up, then stays
            40 + 20 * np.sin(np.arange(1200) / 30),
            jump(40),
            np.linspace(50, 53, 1200),
        ],
        ids=["level", "warm up", "waves", "one jump", "a little"],
    )
    def test_memory_that_comes_and_goes_or_fills_once_is_fine(self, values):
        verdict = self.rule.verdict(gpu(values))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged

    def test_a_few_samples_are_not_judged(self):
        assert not self.rule.verdict(gpu(np.linspace(0, 90, 100))).is_judged
        assert self.rule.verdict(gpu(np.linspace(0, 90, 101))).outcome.troubles
