import fcntl
import itertools
import threading
import time

import pytest

from stocktake.errors import DataError, EngineError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.stages import follow
from stocktake.stages.follow import Follower, history_of
from stocktake.tune.stoppers import stoppers


class EpochEngine:
    """An engine whose jobs do one epoch whenever somebody asks about them, and then end.

    Args:
        losses: the epochs' values of `loss`.
        end: how a job ends that nobody stops: done, failed, stopped, dies.
    """

    def __init__(self, *losses, end="done"):
        self.losses = losses
        self.end = end
        self.stopped = 0
        self.folder = None

    def submit(self, job):
        self.folder = RunFolder.begin(job.output_path, about={"stage": "train"}, settings={})
        self.epochs = iter(self.losses)
        self.numbers = itertools.count(1)
        return "one"

    def status(self, job_id):
        if self.folder.status != "running":
            return self.folder.status
        for loss in self.epochs:
            self.folder.metric(next(self.numbers), loss=loss, accuracy=0.5)
            return "running"
        if self.end == "dies":
            raise EngineError("the worker was killed by signal 9")
        error = {"kind": "DataError", "message": "a photo is cut off"}
        self.folder.close(self.end, error=error if self.end == "failed" else None)
        return self.end

    def stop(self, job_id):
        self.stopped += 1
        self.epochs = iter(())
        if self.end == "done":
            self.end = "stopped"


class PathJob(Job):
    __slots__ = ()

    @property
    def output_path(self):
        return RunFolder(self.output).path


@pytest.fixture(autouse=True)
def fast(monkeypatch):
    monkeypatch.setattr(follow, "POLL_S", 0.001)


@pytest.fixture
def job(tmp_path):
    return PathJob(stage="train", settings={}, inputs={}, output=str(tmp_path / "0000" / "train"))


@pytest.fixture
def run(tmp_path):
    return RunFolder.begin(tmp_path / "tune", about={"stage": "tune"}, settings={})


def carried_out(engine, run, job, *, stopper="none", earlier=(), metric="loss", to="minimize"):
    rule = stoppers.make(stopper, direction=to)
    return Follower(engine, run, metric=metric, direction=to, stopper=rule).carry_out(job, earlier)


@pytest.mark.parametrize(("direction", "value"), [("minimize", 0.2), ("maximize", 0.9)])
def test_a_trials_value_is_its_best_over_the_epochs(run, job, direction, value):
    ended = carried_out(EpochEngine(0.9, 0.2, 0.4), run, job, to=direction)

    assert (ended.value, ended.history, ended.error) == (value, (0.9, 0.2, 0.4), None)
    assert not ended.stopped


def test_the_stopper_ends_a_trial_and_its_best_value_counts(run, job):
    engine = EpochEngine(0.9, 1.2, 0.1, 0.1)
    ended = carried_out(engine, run, job, stopper="median", earlier=[(1.0, 1.0, 1.0)])

    assert ended.stopped
    assert (ended.value, ended.history) == (0.9, (0.9, 1.2))
    assert engine.stopped == 1


def test_a_trial_that_dies_of_being_stopped_is_stopped(run, job):
    engine = EpochEngine(2.0, 0.1, end="dies")
    ended = carried_out(engine, run, job, stopper="median", earlier=[(1.0,)])

    assert ended.stopped
    assert ended.error is None


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [("failed", DataError, "a photo is cut off"), ("dies", EngineError, "killed by signal 9")],
)
def test_a_failed_trial_comes_back_with_its_own_error(run, job, end, kind, text):
    ended = carried_out(EpochEngine(0.5, end=end), run, job)

    assert ended.value is None
    assert isinstance(ended.error, kind)
    assert text in ended.told()["error"]


def test_a_refused_job_comes_back_with_the_refusal(run, job, monkeypatch):
    def refuse(job):
        raise EngineError("no room")

    engine = EpochEngine()
    monkeypatch.setattr(engine, "submit", refuse)

    assert str(carried_out(engine, run, job).error) == "no room"


def test_epochs_without_a_number_do_not_count_and_all_of_them_are_a_failure(run, job):
    nan = float("nan")

    assert carried_out(EpochEngine(nan, 0.5), run, job).value == 0.5
    job.output_path.joinpath("metrics.jsonl").unlink()
    assert "not finite in any of 2 epochs" in str(
        carried_out(EpochEngine(nan, nan), run, job).error
    )


def test_a_metric_that_train_does_not_have_is_an_error_with_the_nearest(run, job):
    with pytest.raises(SettingsError, match=r"tune\.metric 'los'.*did you mean 'loss'"):
        carried_out(EpochEngine(0.5), run, job, metric="los")


def test_a_job_that_somebody_else_stops_stops_the_search(run, job):
    with pytest.raises(KeyboardInterrupt):
        carried_out(EpochEngine(0.5, end="stopped"), run, job)


def test_no_job_outlives_an_interrupted_search(run, job):
    engine = EpochEngine(0.5, 0.5, 0.5)

    def interrupted(current, earlier):
        raise KeyboardInterrupt

    follower = Follower(engine, run, metric="loss", direction="minimize", stopper=interrupted)
    with pytest.raises(KeyboardInterrupt):
        follower.carry_out(job, [])

    assert engine.stopped == 1
    assert engine.folder.status == "stopped"


def test_a_worker_that_outlived_a_killed_search_is_waited_for(run, job):
    path = job.output_path
    path.parent.mkdir()
    lock = (path.parent / ".train.lock").open("w")
    fcntl.flock(lock, fcntl.LOCK_EX)
    freed = []

    def finish():
        time.sleep(0.15)
        freed.append(time.monotonic())
        lock.close()

    engine = EpochEngine(0.5)
    submit = engine.submit
    sent = []
    engine.submit = lambda job: (sent.append(time.monotonic()), submit(job))[1]
    threading.Thread(target=finish).start()
    carried_out(engine, run, job)

    assert sent[0] >= freed[0]
    assert any("earlier process" in row["message"] for row in run.lines())


def test_of_an_epoch_done_twice_the_later_value_counts(run):
    for epoch, loss in ((1, 0.9), (2, 0.8), (1, 0.7), (2, 0.6), (3, 0.5)):
        run.metric(epoch, loss=loss)

    assert history_of(run, "loss") == (0.7, 0.6, 0.5)
