import math
from statistics import median

import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.tune import space as spaces
from stocktake.tune.study import Study

TABLE = {
    "train.lr": {"low": 0.001, "high": 0.1, "scale": "log"},
    "train.epochs": {"low": 10, "high": 40},
    "train.head": {"choices": ["softmax", {"name": "corn", "depth": 2}]},
}


def opened(journal, *, table=None, **change):
    space = spaces.read(table or TABLE, where="tune.space")
    given = {"direction": "minimize", "sampler": "random", "seed": 3, **change}
    return Study.open(journal, space=space, **given)


def loss(params):
    return (math.log10(params["train.lr"]) + 2) ** 2 + abs(params["train.epochs"] - 25) / 25


def walk(study, trials):
    while len(study.outcomes()) < trials:
        trial = study.ask()
        study.tell(trial, value=loss(trial.params), history=[1.0, loss(trial.params)])
    return study


def what(study):
    return [(one.number, one.params, one.value, one.history) for one in study.outcomes()]


def test_what_is_told_is_kept_in_the_journal(tmp_path):
    study = opened(tmp_path / "journal.log")
    told = study.tell(study.ask(), value=0.5, history=[0.7, 0.5], seconds=1.25)
    study.tell(study.ask(), value=0.4, history=[0.4], stopped=True)
    study.tell(study.ask(), value=None, error="the disk is full")
    again = opened(tmp_path / "journal.log")

    assert again.outcomes() == study.outcomes()
    assert again.outcomes()[0] == told
    assert [one.state for one in again.outcomes()] == ["done", "stopped", "failed"]
    assert [one.number for one in again.outcomes()] == [0, 1, 2]
    assert again.outcomes()[0].seconds == 1.25
    assert again.outcomes()[2].error == "the disk is full"
    assert again.best() == again.outcomes()[1]


def test_a_choice_may_be_a_table(tmp_path):
    study = walk(opened(tmp_path / "journal.log"), 8)
    heads = [one.params["train.head"] for one in study.outcomes()]

    assert {"name": "corn", "depth": 2} in heads
    assert "softmax" in heads


def test_the_best_is_the_highest_when_maximising(tmp_path):
    study = opened(tmp_path / "journal.log", direction="maximize")
    for value in (0.1, 0.9, 0.9, 0.5):
        study.tell(study.ask(), value=value)

    assert study.best().number == 1


@pytest.mark.parametrize("value", [math.nan, math.inf, None])
def test_a_value_that_is_no_number_is_a_failure(tmp_path, value):
    study = opened(tmp_path / "journal.log")

    assert study.tell(study.ask(), value=value).state == "failed"
    assert study.best() is None


@pytest.mark.parametrize("sampler", ["random", "tpe", {"name": "gp", "startup": 2}])
def test_a_search_cut_off_after_every_ask_equals_an_undisturbed_one(tmp_path, sampler):
    whole = walk(opened(tmp_path / "whole.log", sampler=sampler), 5)
    for _ in range(5):
        opened(tmp_path / "cut.log", sampler=sampler).ask()  # and the process dies
        study = opened(tmp_path / "cut.log", sampler=sampler)
        assert study.cut_off == 1
        walk(study, len(study.outcomes()) + 1)

    assert what(study) == what(whole)


def test_a_trial_cut_off_between_its_two_last_writes_is_asked_again(tmp_path):
    study = opened(tmp_path / "journal.log")
    study.tell(study.ask(), value=1.0)
    trial = study.ask()
    trial.asked.set_user_attr("outcome", {"state": "done", "seconds": 1, "error": ""})
    again = opened(tmp_path / "journal.log")

    assert len(again.outcomes()) == 1
    assert again.ask().params == trial.params


def test_a_line_cut_in_half_and_a_lock_left_behind_are_mended(tmp_path):
    journal = tmp_path / "journal.log"
    study = walk(opened(journal), 3)
    with journal.open("ab") as file:
        file.write(b'{"op_code": 5, "worker_id": "half a li')
    (tmp_path / "journal.log.lock").symlink_to(journal)

    assert what(opened(journal)) == what(study)
    assert len(walk(opened(journal), 5).outcomes()) == 5


def test_trials_that_all_failed_are_set_aside_when_somebody_comes_again(tmp_path):
    study = opened(tmp_path / "journal.log")
    first = study.ask()
    study.tell(first, value=None, error="no disk")
    again = opened(tmp_path / "journal.log")

    assert again.set_aside == 1
    assert again.outcomes() == []
    assert again.ask().params == first.params


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            {"table": {"train.lr": {"low": 0.1, "high": 0.2}}},
            r"space train\.lr low was 0\.001, now",
        ),
        ({"direction": "maximize"}, "direction was 'minimize', now 'maximize'"),
        ({"about": {"photos": "b"}}, "photos was 'a', now 'b'"),
    ],
)
def test_a_journal_of_another_search_is_refused_with_the_difference(tmp_path, change, text):
    opened(tmp_path / "journal.log", about={"photos": "a"})

    with pytest.raises(SettingsError, match=text):
        opened(tmp_path / "journal.log", **({"about": {"photos": "a"}} | change))


@pytest.mark.parametrize("text", ["no journal\n", '{"a": 1}\n', "[1, 2]\n", "3\n"])
def test_a_file_that_is_no_journal_is_an_error_of_one_line(tmp_path, text):
    (tmp_path / "journal.log").write_text(text)

    with pytest.raises(DataError, match="not a study's journal") as caught:
        opened(tmp_path / "journal.log")
    assert "\n" not in str(caught.value)


def test_an_unknown_sampler_or_option_is_refused_before_a_journal_is_made(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'random'"):
        opened(tmp_path / "journal.log", sampler="randm")
    with pytest.raises(SettingsError, match="has no option 'starup'; it takes: startup"):
        opened(tmp_path / "journal.log", sampler={"name": "gp", "starup": 2})
    with pytest.raises(SettingsError, match="startup must be 1 or more"):
        opened(tmp_path / "journal.log", sampler={"name": "tpe", "startup": 0})

    assert not (tmp_path / "journal.log").exists()


def bowl(params):
    return (params["train.x"] - 0.3) ** 2 + (params["train.y"] - 0.7) ** 2


def best_on_a_bowl(folder, sampler, seed):
    plane = {name: {"low": 0.0, "high": 1.0} for name in ("train.x", "train.y")}
    study = opened(folder / f"{sampler}{seed}.log", table=plane, sampler=sampler, seed=seed)
    for _ in range(10):
        trial = study.ask()
        study.tell(trial, value=bowl(trial.params))
    return study.best().value


def test_the_gaussian_process_beats_chance_on_a_bowl(tmp_path):
    seeds = range(6)
    by_gp = [best_on_a_bowl(tmp_path, "gp", seed) for seed in seeds]
    by_chance = [best_on_a_bowl(tmp_path, "random", seed) for seed in seeds]

    assert median(by_gp) < median(by_chance) / 10, (by_gp, by_chance)
