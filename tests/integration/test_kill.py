"""The command is killed with kill -9: no process stays behind, and the next command goes on."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from faults import FaultProxy
from weed import OPEN, Server

from stocktake.runs.folder import RunFolder

ENDS_S = 20
"""Within this an orderly stop is over, on a machine that has other work, too."""


def start(folder: Path, *words: str) -> "subprocess.Popen[bytes]":
    command = [sys.executable, "-m", "stocktake", *words, "--set", "name=demo"]
    env = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(command, cwd=folder, env=env, stderr=subprocess.DEVNULL)


def wait_for(fact: Callable[[], object], *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state != "Z"  # its new parent may be slow to take note


def children(pid: int) -> list[int]:
    return [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]


def has_progress(run: RunFolder) -> bool:
    progress = run.how_far() if run.exists() else None
    return progress is not None and progress.done > 0


@pytest.mark.parametrize("word", ["paint", "run"])
def test_workers_and_painters_end_with_the_command(tmp_path, word):
    sets = ["--set", "paint.photos=400", "--set", "paint.processes=2"]
    run = RunFolder(tmp_path / "runs/demo/paint")
    command = start(tmp_path, word, *sets)
    wait_for(lambda: has_progress(run))
    worker = run.info()["pid"]
    painters = children(worker)
    command.kill()
    command.wait()

    assert len(painters) >= 2
    wait_for(lambda: not any(map(is_alive, [worker, *painters])), within_s=ENDS_S)
    assert run.status == "stopped"
    assert start(tmp_path, word, *sets).wait() == 0
    assert run.info()["attempts"] == 2 and 0 < run.result()["found"] < 400


def test_a_worker_that_waits_for_a_bucket_ends_with_the_command(s3_server: Server, tmp_path):
    s3_server.put({f"away/bin-images/{n:05d}.jpg": b"x" for n in range(60)})
    s3_server.put({f"away/metadata/{n:05d}.json": b"{}" for n in range(60)})
    run = RunFolder(tmp_path / "runs/demo/ingest")
    with FaultProxy(s3_server.url) as proxy:
        proxy.away_after = 20
        sets = [f"source=s3://{OPEN}/away", f"endpoint_url={proxy.url}", "anonymous=true"]
        words = [part for word in sets for part in ("--set", f"ingest.{word}")]
        command = start(tmp_path, "ingest", *words)
        assert proxy.away.wait(60)
        worker = run.info()["pid"]
        command.kill()
        command.wait()

        wait_for(lambda: not is_alive(worker), within_s=ENDS_S)
    assert run.status == "stopped"


def test_a_job_given_as_a_file_needs_nobody(tmp_path):
    """As other engines start it: who started it may go."""
    from stocktake.runs.job import Job
    from stocktake.stages import worker

    job = Job(stage="paint", settings={"photos": 5}, inputs={}, output=str(tmp_path / "paint"))
    (tmp_path / "job.json").write_text(worker.to_json(job))
    shell = f"{sys.executable} -m stocktake.stages.worker job.json </dev/null &"
    subprocess.run(["sh", "-c", shell], cwd=tmp_path, check=True)

    run = RunFolder(tmp_path / "paint")
    wait_for(lambda: run.exists() and run.status == "done")


def test_a_worker_hung_in_its_stop_is_killed():
    """Nobody is left who could ask a second time."""
    code = (
        "import sys, time; from stocktake.stages import worker\n"
        "def hang(job):\n"
        "    try: print('in', flush=True); time.sleep(60)\n"
        "    finally: time.sleep(60)\n"
        "worker.run_job, worker.PATIENCE_S = hang, 0.5\n"
        "worker.main([worker.HELD])"
    )
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", code], stdin=pipe, stdout=pipe)
    assert process.stdin is not None and process.stdout is not None
    process.stdin.write(b'{"stage": "x", "settings": {}, "inputs": {}, "output": "x"}\n')
    process.stdin.flush()
    assert process.stdout.readline() == b"in\n"
    process.stdin.close()

    assert process.wait(timeout=ENDS_S) == -signal.SIGKILL
