"""Real small trainings: each rule fires on its illness in time, and is silent on the healthy.

Few seeds here; twenty, with intervals, in bench/rules.py.
"""

from functools import cache

import ill
import pytest
import torch

from stocktake.debugger.check import Verdict, check
from stocktake.debugger.records import Record

SEEDS = (0, 1)
NOISE_IS_TAKEN_FOR_ILLNESS = {"LossNotDecreasing", "Overtraining", "PoorWeightInitialization"}
"""By SageMaker's defaults, where the loss of every small batch is in the record."""


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@cache
def recorded(kind: str, seed: int) -> Record:
    return getattr(ill, kind)(seed).run()


def alarms(verdicts: list[Verdict]) -> dict[str, str]:
    return {one.name: one.message for one in verdicts if one.status != "NoIssuesFound"}


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("illness", ill.ILLNESSES, ids=lambda one: one.rule)
def test_a_rule_fires_on_its_illness_in_time(illness, seed):
    record = recorded(illness.make.__name__, seed)
    (verdict,) = check(record, {illness.rule: illness.parameters})

    assert verdict.status == "IssuesFound", verdict.message
    assert verdict.first_step <= illness.within


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rule_fires_on_a_healthy_training(seed):
    verdicts = check(recorded("healthy", seed), ill.parameters(ill.FOR_THE_HEALTHY))

    assert alarms(verdicts) == {}
    assert [one.name for one in verdicts if "nothing to look at" in one.message] == []


@pytest.mark.parametrize("seed", SEEDS)
def test_no_rule_takes_the_noise_of_batches_for_an_illness_with_the_profile_for_it(seed):
    record = recorded("noisy", seed)

    parameters = ill.parameters(ill.FOR_THE_NOISY)
    assert alarms(check(record, parameters, profile="batches")) == {}
    assert set(alarms(check(record, parameters))) <= NOISE_IS_TAKEN_FOR_ILLNESS


def test_the_same_seed_gives_a_similar_run_and_another_does_not():
    record = recorded("stalled", 0)
    same, other = ill.stalled(0).run(), ill.stalled(1).run()

    assert alarms(check(record, {"SimilarAcrossRuns": {"other_trials": same}})) == {}
    (verdict,) = check(record, {"SimilarAcrossRuns": {"other_trials": other}})
    assert (verdict.status, verdict.first_step) == ("IssuesFound", 0)
