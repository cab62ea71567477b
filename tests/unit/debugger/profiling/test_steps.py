from dataclasses import replace

import numpy as np
import pytest
from profiled import START, loop, machine

from stocktake.debugger import samples as known
from stocktake.debugger.errors import RuleError
from stocktake.debugger.profiling import find
from stocktake.debugger.profiling.steps import wait_share
from stocktake.debugger.samples import Profile

EVEN = 0.1 + np.random.default_rng(4).normal(0, 0.002, 600)


def with_long_ones(count, long_s=2.0):
    made = EVEN.copy()
    made[np.linspace(50, 550, count).astype(int)] = long_s
    return made


class TestMaxInitializationTime:
    rule = find("MaxInitializationTime")

    def test_a_loop_that_begins_soon_is_fine(self):
        seen = Profile(spans=loop(EVEN[:5], begins_s=30), started=START)

        assert self.rule.verdict(seen).status == "NoIssuesFound"

    def test_a_loop_that_begins_late_is_found(self):
        seen = Profile(spans=loop(EVEN[:5], begins_s=1500), started=START)
        (trouble,) = self.rule.verdict(seen).outcome.troubles

        assert trouble.evidence["minutes"] == pytest.approx(25) and "began after" in trouble.message

    def test_a_loop_that_has_not_begun_is_found(self):
        samples = machine({("cpu0", known.CPU): np.ones(30)}, every_s=60)
        (trouble,) = self.rule.verdict(Profile(samples=samples)).outcome.troubles

        assert "no step has begun for 29.0 minutes" in trouble.message

    def test_nothing_seen_is_not_judged(self):
        assert not self.rule.verdict(Profile()).is_judged


class TestStepOutlier:
    rule = find("StepOutlier")

    def test_even_steps_are_fine(self):
        verdict = self.rule.verdict(Profile(spans=loop(EVEN)))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged
        assert verdict.outcome.details["train"]["ms"]["p50"] == pytest.approx(100, abs=1)

    @pytest.mark.parametrize(("count", "fires"), [(10, False), (11, True)])
    def test_more_than_ten_long_steps_are_found(self, count, fires):
        verdict = self.rule.verdict(Profile(spans=loop(with_long_ones(count))))

        assert bool(verdict.outcome.troubles) == fires
        assert verdict.outcome.details["train"]["outliers"] == count
        assert 50 in verdict.outcome.details["train"]["steps"]

    def test_short_steps_are_no_outliers(self):
        verdict = self.rule.verdict(Profile(spans=loop(with_long_ones(20, long_s=0.0001))))

        assert not verdict.outcome.troubles

    @pytest.mark.parametrize(("steps", "judged"), [(100, False), (101, True)])
    def test_more_than_a_hundred_steps_are_needed(self, steps, judged):
        assert self.rule.verdict(Profile(spans=loop(EVEN[:steps]))).is_judged == judged

    def test_modes_are_judged_apart_and_can_be_chosen(self):
        spans = loop(with_long_ones(12), mode="eval") + loop(EVEN)
        seen = Profile(spans=spans)

        assert "eval steps" in self.rule.verdict(seen).outcome.troubles[0].message
        assert not self.rule.verdict(seen, {"mode": "ModeKeys.TRAIN"}).outcome.troubles
        with pytest.raises(RuleError, match="mode must be one of train, eval, predict, got 'x'"):
            self.rule.verdict(seen, {"mode": "x"})

    def test_the_manual_lets_more_pass(self):
        assert self.rule.parameters("manual")["stddev"] == 5.0


def loading(workers, steps=20, cores=4, wait=0.1):
    return Profile(
        spans=loop(np.full(steps, 0.1), wait=wait), workers=[(START, workers)], cores=cores
    )


class TestDataloader:
    rule = find("Dataloader")

    @pytest.mark.parametrize("workers", [3, 4, 8])
    def test_workers_that_fit_the_cores_are_fine(self, workers):
        verdict = self.rule.verdict(loading(workers))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged

    @pytest.mark.parametrize(("workers", "percent"), [(0, 25), (2, 50), (9, 225)])
    def test_too_few_and_too_many_are_found(self, workers, percent):
        (trouble,) = self.rule.verdict(loading(workers)).outcome.troubles

        assert f"on 4 cores, {percent} %" in trouble.message
        assert "waits for data 10 % of its time" in trouble.message

    def test_a_loop_that_loads_by_itself_is_one_process(self):
        assert "1 process loads" in self.rule.verdict(loading(0)).outcome.troubles[0].message

    def test_the_pass_that_a_step_belongs_to_counts(self):
        seen = loading(0, steps=40)
        seen.workers.append((seen.steps()[10].time, 4))

        assert not self.rule.verdict(seen).outcome.troubles

    def test_patience_must_be_exceeded(self):
        assert not self.rule.verdict(loading(0, steps=10)).is_judged
        assert self.rule.verdict(loading(0, steps=11)).outcome.troubles

    def test_cores_are_counted_in_the_samples_if_the_loop_did_not_tell(self):
        seen = loading(2, cores=0)
        assert not self.rule.verdict(seen).is_judged
        samples = machine({(f"cpu{n}", known.CPU): [50.0] for n in range(2)})
        told = Profile(samples=samples, spans=seen.spans, workers=seen.workers)

        assert self.rule.verdict(told).status == "NoIssuesFound"


class TestDataWait:
    rule = find("DataWait")

    @pytest.mark.parametrize(("wait", "fires"), [(0.05, False), (0.5, True)])
    def test_a_loop_that_waits_for_data_is_found(self, wait, fires):
        verdict = self.rule.verdict(Profile(spans=loop(EVEN[:50], wait=wait)))

        assert bool(verdict.outcome.troubles) == fires and verdict.is_judged
        assert verdict.outcome.details["share"] == pytest.approx(100 * wait)

    def test_waits_of_evaluation_do_not_count(self):
        spans = loop(EVEN[:50], wait=0.05) + loop(EVEN[:50], wait=0.9, mode="eval")

        assert not self.rule.verdict(Profile(spans=spans)).outcome.troubles

    def test_a_wait_that_ended_in_no_step_does_not_count(self):
        spans = loop(EVEN[:50], wait=0.05)
        dropped = [one for one in loop([9.0]) if one.name == "data wait"]
        seen = Profile(spans=spans + [replace(one, step=50) for one in dropped])
        assert wait_share(seen) == pytest.approx(5)

    def test_few_steps_are_not_judged(self):
        assert not self.rule.verdict(Profile(spans=loop(EVEN[:10], wait=0.9))).is_judged
