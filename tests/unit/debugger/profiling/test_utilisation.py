import numpy as np
import pytest
from profiled import gpu_machine, machine

from stocktake.debugger import samples as known
from stocktake.debugger.profiling import find
from stocktake.debugger.profiling.utilisation import histogram_distance
from stocktake.debugger.samples import Profile

NOISE = np.random.default_rng(1).uniform(-2, 2, 3000)


def bursts(low=2.0, high=95.0, rounds=1200):
    return np.where(np.arange(rounds) // 20 % 2, high, low)


def gpus(*values):
    return Profile(samples=machine({(f"gpu{n}", known.GPU): one for n, one in enumerate(values)}))


class TestLowGPUUtilization:
    rule = find("LowGPUUtilization")

    def test_a_busy_gpu_is_fine(self):
        verdict = self.rule.verdict(gpu_machine(gpu=90))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged and not verdict.outcome.note

    def test_a_gpu_that_is_used_little_is_found(self):
        verdict = self.rule.verdict(gpu_machine(gpu=30))
        (trouble,) = verdict.outcome.troubles

        assert verdict.status == "IssuesFound" and trouble.device == "gpu0"
        assert "used little" in trouble.message and 28 <= trouble.evidence["p95"] <= 32
        assert trouble.evidence["samples"] > 1000 and verdict.outcome.datapoints == 1200

    def test_bursts_are_found(self):
        (trouble,) = self.rule.verdict(gpus(bursts())).outcome.troubles

        assert "in bursts" in trouble.message

    def test_a_gpu_that_was_never_used_is_said_to_be(self):
        (trouble,) = self.rule.verdict(gpus(np.zeros(1200))).outcome.troubles

        assert "never used at all" in trouble.message

    def test_only_the_gpu_that_is_idle_is_named(self):
        found = self.rule.verdict(gpus(80 + NOISE[:1200], 20 + NOISE[:1200])).outcome.troubles

        assert [one.device for one in found] == ["gpu1"]

    @pytest.mark.parametrize(("rounds", "judged"), [(1000, False), (1001, True)])
    def test_patience_must_be_exceeded(self, rounds, judged):
        verdict = self.rule.verdict(gpu_machine(gpu=30, rounds=rounds))

        assert bool(verdict.outcome.troubles) == judged == verdict.is_judged
        if not judged:
            assert verdict.outcome.note == (
                "not judged: 1000 samples were seen, and more than 1000 are needed"
            )

    def test_only_the_last_window_counts_but_what_was_found_stays_found(self):
        late = np.concatenate([np.full(500, 5.0), np.full(1100, 90.0)])
        recovered = np.concatenate([np.full(1200, 5.0), np.full(600, 90.0)])

        assert not self.rule.verdict(gpus(late)).outcome.troubles
        assert self.rule.verdict(gpus(recovered)).outcome.troubles

    def test_exactly_at_the_threshold_is_neither(self):
        assert not self.rule.verdict(gpus(np.full(1200, 70.0))).outcome.troubles

    @pytest.mark.parametrize(("cpu", "fires"), [(90, False), (25, True)])
    def test_without_a_gpu_it_says_so_and_judges_the_cpu(self, cpu, fires):
        cores = {(f"cpu{n}", known.CPU): cpu + NOISE[:1200] for n in range(4)}
        verdict = self.rule.verdict(Profile(samples=machine(cores)))

        assert verdict.outcome.note.startswith("no GPU was seen; the mean of the CPU's cores")
        assert verdict.is_judged and bool(verdict.outcome.troubles) == fires
        if fires:
            assert verdict.outcome.troubles[0].message.startswith("CPU cpu of algo-1 is used")


class TestBatchSize:
    rule = find("BatchSize")

    def test_all_three_used_little_is_room_for_larger_batches(self):
        (trouble,) = self.rule.verdict(gpu_machine(gpu=40, memory=30, cpu=40)).outcome.troubles

        assert trouble.device == "gpu0" and trouble.evidence["gpu_memory_p95"] < 33

    @pytest.mark.parametrize("more", [{"memory": 90}, {"cpu": 90}, {"gpu": 90}])
    def test_one_of_them_well_used_is_fine(self, more):
        verdict = self.rule.verdict(gpu_machine(**({"gpu": 40, "memory": 30, "cpu": 40} | more)))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged

    def test_the_manual_is_less_patient_but_needs_a_window(self):
        seen = gpu_machine(gpu=40, memory=30, cpu=40, rounds=510)

        assert not self.rule.verdict(seen).outcome.troubles
        assert self.rule.verdict(seen, profile="manual").outcome.troubles
        few = gpu_machine(gpu=40, memory=30, cpu=40, rounds=400)
        assert not self.rule.verdict(few, profile="manual").is_judged

    def test_without_a_gpu_it_is_not_judged(self):
        verdict = self.rule.verdict(Profile(samples=machine({("cpu0", known.CPU): NOISE + 5})))

        assert not verdict.is_judged and "no GPU" in verdict.outcome.note

    def test_a_gpu_whose_memory_is_not_sampled_is_let_be(self):
        assert not self.rule.verdict(gpus(np.full(1200, 10.0))).outcome.troubles


class TestLoadBalancing:
    rule = find("LoadBalancing")

    def test_equal_work_is_fine(self):
        verdict = self.rule.verdict(gpus(80 + NOISE[:1200], 80 - NOISE[:1200]))

        assert verdict.status == "NoIssuesFound" and verdict.is_judged

    def test_unequal_work_is_found(self):
        (trouble,) = self.rule.verdict(gpus(80 + NOISE[:1200], 20 + NOISE[:1200])).outcome.troubles

        assert trouble.device == "gpu0, gpu1"
        assert trouble.evidence["distance"] == pytest.approx(np.sqrt(np.log(2)))

    def test_a_gpu_that_is_always_full_is_not_lost(self):
        assert self.rule.verdict(gpus(np.full(1200, 100.0), np.full(1200, 30.0))).outcome.troubles

    def test_gpus_of_two_machines_are_not_compared(self):
        samples = machine({("gpu0", known.GPU): np.full(1200, 90.0)})
        samples += machine({("gpu0", known.GPU): np.full(1200, 10.0)}, node="algo-2")
        verdict = self.rule.verdict(Profile(samples=samples))

        assert not verdict.is_judged and "two GPUs" in verdict.outcome.note

    def test_the_manual_is_less_patient(self):
        seen = gpus(np.full(11, 90.0), np.full(11, 10.0))

        assert not self.rule.verdict(seen).is_judged
        assert self.rule.verdict(seen, profile="manual").outcome.troubles


def test_distance_is_that_of_jensen_and_shannon():
    spatial = pytest.importorskip("scipy.spatial.distance")
    rng = np.random.default_rng(3)
    for shift in (0, 3, 20):
        a, b = rng.uniform(0, 60, 500), rng.uniform(shift, 60 + shift, 500)
        counts = [np.histogram(one, np.arange(0, 101, 2))[0] for one in (a, b)]

        assert histogram_distance(a, b) == pytest.approx(spatial.jensenshannon(*counts))


def test_distance_of_nothing_is_none():
    assert histogram_distance(np.array([]), np.array([5.0])) == 0.0
