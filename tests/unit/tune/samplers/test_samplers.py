"""Every sampler on the shelf keeps the contract."""

import pytest

from stocktake.tune import space as spaces
from stocktake.tune.samplers import samplers
from stocktake.tune.study import Study

TABLE = {
    "train.rate": {"low": 1e-4, "high": 1e-1, "scale": "log"},
    "train.share": {"low": -1.5, "high": 0.5},
    "train.batch": {"low": 32, "high": 512, "scale": "log"},
    "train.depth": {"low": 1, "high": 3},
    "train.part": {"choices": ["a", "b", {"name": "c", "option": 2}]},
    "train.is_on": {"choices": [True, False]},
}


def suggestions(journal, sampler, *, seed, trials=5):
    study = Study.open(
        journal,
        space=spaces.read(TABLE, where="tune.space"),
        direction="maximize",
        sampler=sampler,
        seed=seed,
    )
    found = []
    for _ in range(trials):
        trial = study.ask()
        study.tell(trial, value=trial.params["train.share"] + trial.params["train.depth"])
        found.append(trial.params)
    return found


@pytest.mark.parametrize("sampler", samplers.names())
def test_a_sampler_stays_in_the_space_and_repeats_with_its_seed(sampler, tmp_path):
    found = suggestions(tmp_path / "a.log", sampler, seed=1)

    for params in found:
        assert list(params) == list(TABLE)
        assert 1e-4 <= params["train.rate"] <= 1e-1
        assert -1.5 <= params["train.share"] <= 0.5
        assert params["train.batch"] in range(32, 513)
        assert params["train.depth"] in (1, 2, 3)
        assert isinstance(params["train.depth"], int)
        assert params["train.part"] in TABLE["train.part"]["choices"]
        assert isinstance(params["train.is_on"], bool)
    assert found == suggestions(tmp_path / "b.log", sampler, seed=1)
    assert found != suggestions(tmp_path / "c.log", sampler, seed=2)
    assert len({params["train.share"] for params in found}) > 2


@pytest.mark.parametrize("sampler", samplers.names())
def test_a_sampler_says_what_it_is(sampler):
    assert samplers.about(sampler)
