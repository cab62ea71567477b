import os
import signal
import time

import pytest

from stocktake.engines.local import LocalEngine
from stocktake.errors import EngineError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job


def job(tmp_path, **settings):
    settings = {"photos": 2, "processes": 1} | settings
    return Job(stage="paint", settings=settings, inputs={}, output=str(tmp_path / "run" / "paint"))


def ended(engine, job_id, timeout_s=60):
    until = time.monotonic() + timeout_s
    while (status := engine.status(job_id)) in ("waiting", "running"):
        assert time.monotonic() < until
        time.sleep(0.05)
    return status


def wait_until_running(path):
    until = time.monotonic() + 60
    while not (RunFolder(path).exists() and RunFolder(path).how_far()):
        assert time.monotonic() < until
        time.sleep(0.02)


def test_a_job_runs_in_a_process_of_its_own(tmp_path):
    engine = LocalEngine()
    job_id = engine.submit(job(tmp_path))

    assert ended(engine, job_id) == "done"
    info = RunFolder.open(tmp_path / "run" / "paint").info()
    assert info["pid"] != os.getpid()


def test_a_stopped_job_ends_as_stopped(tmp_path):
    engine = LocalEngine()
    job_id = engine.submit(job(tmp_path, photos=20_000))
    wait_until_running(tmp_path / "run" / "paint")
    engine.stop(job_id)

    assert ended(engine, job_id) == "stopped"
    assert RunFolder.open(tmp_path / "run" / "paint").status == "stopped"


def test_a_job_stopped_before_it_could_begin_ends_as_stopped_too(tmp_path):
    engine = LocalEngine()
    job_id = engine.submit(job(tmp_path))
    engine.stop(job_id)

    assert ended(engine, job_id) == "stopped"


def test_ctrl_c_reaches_the_asker_alone(tmp_path):
    engine = LocalEngine()
    engine.submit(job(tmp_path, photos=20_000))
    path = tmp_path / "run" / "paint"
    wait_until_running(path)

    assert os.getpgid(RunFolder(path).info()["pid"]) != os.getpgid(0)
    engine.stop("local-1")
    assert ended(engine, "local-1") == "stopped"


def test_a_killed_worker_is_told_and_its_run_closed(tmp_path):
    engine = LocalEngine()
    job_id = engine.submit(job(tmp_path, photos=20_000))
    wait_until_running(tmp_path / "run" / "paint")
    os.kill(RunFolder(tmp_path / "run" / "paint").info()["pid"], signal.SIGKILL)

    with pytest.raises(EngineError, match="killed by signal 9"):
        ended(engine, job_id)
    assert RunFolder.open(tmp_path / "run" / "paint").status == "failed"


def test_a_refused_job_says_why(tmp_path):
    engine = LocalEngine()
    job_id = engine.submit(job(tmp_path, photos=-1))

    with pytest.raises(EngineError, match=r"paint was refused: paint\.photos"):
        ended(engine, job_id)


def test_an_unknown_job_is_an_error():
    with pytest.raises(EngineError, match="knows no job"):
        LocalEngine().status("local-99")


@pytest.mark.usefixtures("probe_stage")
def test_a_failed_job_in_this_process_keeps_its_error_for_the_asker(tmp_path):
    engine = LocalEngine(in_process=True)
    wants = Job(stage="probe", settings={"how": "badly"}, inputs={}, output=str(tmp_path / "p"))

    assert engine.status(engine.submit(wants)) == "failed"
    assert any("the stage failed" in line for line in engine.log("local-1"))
