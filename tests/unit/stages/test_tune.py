"""The search, over a small engine of its own: no torch, each trial a few lines of arithmetic."""

import json
import math
import os
import signal
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from stocktake.errors import DataError, EngineError, SettingsError
from stocktake.runs import fingerprint
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.stages import follow
from stocktake.stages.tune import TuneSettings, tune, with_params

SPACE = {
    "train.optimizer.lr": {"low": 1e-4, "high": 1e-1, "scale": "log"},
    "train.batch_size": {"choices": [16, 32, 64]},
}

LONG = {"trials": 5, "sampler": {"name": "tpe", "startup": 2}}


def bowl(settings, epoch):
    """Lowest at a rate of 0.01 and 32 photos, and lower with each epoch."""
    rate = math.log10(settings["optimizer"]["lr"]) + 2
    return rate**2 + abs(settings["batch_size"] - 32) / 64 + 1 / epoch


class BowlEngine:
    """An engine whose jobs do one epoch whenever somebody asks about them.

    Args:
        loss: of a trial's settings and an epoch.
        fails: numbers of trials that fail.
        kill_after: epochs in all, after which this process kills itself.
    """

    def __init__(self, loss=bowl, *, fails=(), kill_after=0):
        self.loss, self.fails, self.kill_after = loss, fails, kill_after
        self.jobs, self.epochs, self.stops = [], 0, []

    def submit(self, job):
        self.jobs.append(job)
        run = RunFolder(Path(job.output))
        mark = fingerprint.of(job.settings)
        if not (run.exists() and run.status == "done" and run.fingerprint == mark):
            about = {"stage": "train", "fingerprint": mark}
            RunFolder.begin(run.path, about=about, settings=job.settings)
        return str(len(self.jobs) - 1)

    def status(self, job_id):
        job = self.jobs[int(job_id)]
        run = RunFolder.open(job.output)
        if run.status != "running":
            return run.status
        if int(run.path.parent.name) in self.fails:
            run.close("failed", error={"kind": "DataError", "message": "the bin is empty"})
            return "failed"
        epoch = len(run.metrics()) // 2 + 1
        if epoch > job.settings["epochs"]:
            run.close("done", result={})
            return "done"
        run.metric(epoch, val_loss=self.loss(job.settings, epoch), val_accuracy=epoch / 10)
        self.epochs += 1
        if self.epochs == self.kill_after:
            os.kill(os.getpid(), signal.SIGKILL)
        return "running"

    def stop(self, job_id):
        self.stops.append(job_id)
        run = RunFolder.open(self.jobs[int(job_id)].output)
        if run.status == "running":
            run.close("stopped")


def search(folder, engine, *, train=None, **settings):
    """Run the stage as the worker does; returns its result and its folder."""
    table = {"space": SPACE, "sampler": "random", "fixed": {"epochs": 3}, **settings}
    inputs = {}
    for name, stage in (("photos", "ingest"), ("split", "split")):
        inputs[name] = RunFolder.begin(
            folder / stage, about={"stage": stage, "fingerprint": stage}, settings={}
        )
    run = RunFolder.begin(folder / "tune", about={"stage": "tune"}, settings={})
    result = tune(
        **inputs,
        settings=reader.build(TuneSettings, table, where="tune"),
        run=run,
        engine=engine,
        train_settings=train or {},
    )
    return result, run


def told(run):
    return json.loads((run.path / "artifacts" / "tune.json").read_text())


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(follow, "POLL_S", 0.001)


def test_a_search_tells_every_trial_and_the_best(tmp_path):
    result, run = search(tmp_path, BowlEngine(), trials=4)
    found = told(run)
    values = [trial["value"] for trial in found["trials"]]

    assert (found["format"], found["metric"], found["direction"]) == (
        "tune/1",
        "val_loss",
        "minimize",
    )
    assert [trial["number"] for trial in found["trials"]] == [0, 1, 2, 3]
    assert {trial["state"] for trial in found["trials"]} == {"done"}
    assert all(len(trial["history"]) == 3 for trial in found["trials"])
    assert found["best"]["value"] == result.best_value == min(values)
    assert found["best"]["params"] == result.best_params
    assert found["best"]["number"] == result.best_trial == values.index(min(values))
    assert (result.trials, result.failed, result.stopped) == (4, 0, 0)


def test_best_toml_is_a_whole_train_table_of_what_was_searched(tmp_path):
    train = {"backbone": "resnet18", "optimizer": {"weight_decay": 0.1}}
    fixed = {"epochs": 3, "optimizer": {"weight_decay": 0.7}}
    result, run = search(tmp_path, BowlEngine(), trials=2, train=train, fixed=fixed)
    best = tomllib.loads((run.path / "artifacts" / "best.toml").read_text())

    assert best == {
        "train": {
            "batch_size": result.best_params["train.batch_size"],
            "optimizer": {
                "name": "adamw",
                "lr": result.best_params["train.optimizer.lr"],
                "weight_decay": 0.1,
            },
        }
    }


def test_a_trial_is_the_train_table_with_fixed_and_searched_settings_over_it(tmp_path):
    engine = BowlEngine()
    search(tmp_path, engine, trials=1, train={"epochs": 40, "side_px": 96})
    job = engine.jobs[0]

    assert job.stage == "train"
    assert job.output == str(tmp_path / "tune" / "trials" / "0000" / "train")
    assert job.inputs == {"photos": str(tmp_path / "ingest"), "split": str(tmp_path / "split")}
    assert (job.settings["epochs"], job.settings["side_px"]) == (3, 96)
    assert job.settings["batch_size"] in (16, 32, 64)
    assert 1e-4 <= job.settings["optimizer"]["lr"] <= 1e-1


def test_a_parts_name_and_its_options_can_both_be_searched():
    start = {"optimizer": {"name": "adamw", "weight_decay": 0.1}, "head": "softmax"}
    params = {
        "train.optimizer.lr": 0.3,
        "train.optimizer": "sgd",
        "train.head": {"name": "corn"},
    }

    assert with_params(start, params) == {
        "optimizer": {"name": "sgd", "lr": 0.3},
        "head": {"name": "corn"},
    }
    assert start["head"] == "softmax"


def test_what_is_fixed_is_not_searched_in_a_named_space(tmp_path):
    _, run = search(tmp_path, BowlEngine(), trials=1, space="report")

    assert sorted(told(run)["trials"][0]["params"]) == ["train.batch_size", "train.optimizer.lr"]


def test_a_failed_trial_is_told_and_the_search_goes_on(tmp_path):
    result, run = search(tmp_path, BowlEngine(fails={1}), trials=3)
    states = [(t["state"], t["value"] is None, t["error"]) for t in told(run)["trials"]]

    assert states == [
        ("done", False, ""),
        ("failed", True, "the bin is empty"),
        ("done", False, ""),
    ]
    assert (result.trials, result.failed) == (3, 1)
    assert any(row["level"] == "warning" and "empty" in row["message"] for row in run.lines())


@pytest.mark.parametrize(("trials", "sent"), [(9, 3), (2, 2)])
def test_a_search_of_failures_only_ends_early_with_the_first_error(tmp_path, trials, sent):
    engine = BowlEngine(fails=range(99))
    with pytest.raises(DataError, match=f"all {sent} trials failed; the first: the bin is empty"):
        search(tmp_path, engine, trials=trials)

    assert len(engine.jobs) == sent
    assert told(RunFolder(tmp_path / "tune"))["best"] is None


def test_after_the_fault_is_mended_the_failed_trials_are_done_again(tmp_path):
    with pytest.raises(DataError):
        search(tmp_path, BowlEngine(fails=range(99)), trials=4)
    result, run = search(tmp_path, BowlEngine(), trials=4)

    assert (result.trials, result.failed) == (4, 0)
    assert any("done again" in row["message"] for row in run.lines())


def test_the_stopper_is_given_the_earlier_trials(tmp_path):
    losses = iter([1.0, 1.0, 1.0, 9.0, 0.5, 0.4, 0.3])
    engine = BowlEngine(lambda settings, epoch: next(losses))
    result, run = search(tmp_path, engine, trials=3, stopper="median")
    trials = told(run)["trials"]

    assert [t["state"] for t in trials] == ["done", "stopped", "done"]
    assert trials[1]["history"] == [9.0]
    assert trials[1]["value"] == 9.0
    assert engine.stops == ["1"]
    assert (result.stopped, result.best_value) == (1, 0.3)


def test_an_interrupted_search_goes_on_with_the_same_trial(tmp_path):
    class Interrupted(BowlEngine):
        def status(self, job_id):
            if job_id == "1":
                raise KeyboardInterrupt
            return super().status(job_id)

        def stop(self, job_id):
            super().stop(job_id)
            self.status = super().status

    with pytest.raises(KeyboardInterrupt):
        search(tmp_path, Interrupted(), trials=3)
    engine = BowlEngine()
    search(tmp_path, engine, trials=3)

    assert [Path(job.output).parent.name for job in engine.jobs] == ["0001", "0002"]


def test_a_search_killed_at_any_moment_ends_as_an_undisturbed_one(tmp_path):
    _, whole = search(tmp_path / "whole", BowlEngine(), **LONG)
    (tmp_path / "cut").mkdir()
    for epochs in (1, 3, 5):  # in a trial's middle, at its last epoch, over into the next
        code = subprocess.run([sys.executable, __file__, tmp_path / "cut", str(epochs)]).returncode
        assert code == -signal.SIGKILL
    _, cut = search(tmp_path / "cut", BowlEngine(), **LONG)

    def without_times(run):
        return [{**trial, "seconds": 0} for trial in told(run)["trials"]], told(run)["best"]

    assert without_times(cut) == without_times(whole)
    assert sum("trials cut off earlier" in row["message"] for row in cut.lines()) == 3
    assert (cut.path / "artifacts" / "best.toml").read_text() == (
        whole.path / "artifacts" / "best.toml"
    ).read_text()


def test_a_finished_journal_is_enough_for_the_result(tmp_path):
    first, run = search(tmp_path, BowlEngine(), trials=2)
    (run.path / "artifacts" / "tune.json").unlink()
    engine = BowlEngine()
    again, _ = search(tmp_path, engine, trials=2)

    assert again == first
    assert engine.jobs == []
    assert len(told(run)["trials"]) == 2


def test_the_highest_accuracy_wins_when_maximising(tmp_path):
    result, _ = search(
        tmp_path, BowlEngine(), trials=2, metric="val_accuracy", direction="maximize"
    )

    assert result.best_value == 0.3


REFUSED = [
    ({"trials": 0}, "tune.trials must be 1 or more, got 0"),
    ({"seed": -1}, "tune.seed must be 0 or more, got -1"),
    ({"space": "reprot"}, "did you mean 'report'"),
    (
        {"space": {"train.lr": {"low": 1, "high": 2}}},
        "tune.space: 'train.lr' is not a setting of train; known: accumulate",
    ),
    ({"space": {"score.side_px": {"low": 1, "high": 2}}}, "only train can be searched"),
    (
        {"fixed": {"epohcs": 1}},
        "tune.fixed: 'train.epohcs' is not a setting of train; did you mean 'epochs'",
    ),
    ({"fixed": {"batch_size": 8}}, "tune.space and tune.fixed both have 'train.batch_size'"),
    (
        {"space": "report", "fixed": {"epochs": 1, "batch_size": 9, "optimizer": {"lr": 1.0}}},
        "tune.fixed holds all",
    ),
    ({"metric": "val_accuracy"}, 'tune.direction must be "maximize" for the metric val_accuracy'),
    ({"direction": "maximize"}, 'tune.direction must be "minimize" for the metric val_loss'),
    (
        {"space": {"train.batch_size": {"low": 0, "high": 64}}},
        "tune.space 'train.batch_size' goes too far: train.batch_size must be 2 or more, got 0",
    ),
    ({"space": {"train.epochs": {"low": 0.5, "high": 2.5}}, "fixed": {}}, "must be int, got 0.5"),
    ({"sampler": "gpp"}, "there is no sampler 'gpp'; did you mean 'gp'"),
    ({"stopper": {"name": "median", "grace": 2}}, "stopper 'median' has no option 'grace'"),
    ({"metric": "val_los"}, "tune.metric 'val_los' is not a metric of train; did you mean"),
]


@pytest.mark.parametrize(("change", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_what_cannot_be_searched_is_refused_in_one_line(tmp_path, change, text):
    engine = BowlEngine()
    with pytest.raises(SettingsError) as caught:
        search(tmp_path, engine, **change)

    assert text in str(caught.value)
    assert "\n" not in str(caught.value)
    assert len(engine.jobs) == ("val_los" in change.values())


def test_data_of_another_run_is_not_mixed_in(tmp_path):
    search(tmp_path, BowlEngine(), trials=1)

    with pytest.raises(SettingsError, match="metric was 'val_loss', now 'val_rmse'"):
        search(tmp_path, BowlEngine(), trials=1, metric="val_rmse")


def test_an_engine_that_refuses_every_job_ends_the_search(tmp_path):
    class Closed(BowlEngine):
        def submit(self, job):
            raise EngineError("no machine is free")

    with pytest.raises(EngineError, match="all 3 trials failed; the first: no machine is free"):
        search(tmp_path, Closed())


if __name__ == "__main__":
    search(Path(sys.argv[1]), BowlEngine(kill_after=int(sys.argv[2])), **LONG)
