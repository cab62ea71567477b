"""The local engine: each job in a process of its own on this machine, or in this very process."""

import itertools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from stocktake.errors import EngineError, StocktakeError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job, Status
from stocktake.stages import worker


@dataclass(slots=True)
class _Sent:
    job: Job
    process: "subprocess.Popen[bytes] | None"
    noise: IO[bytes] | None
    is_stopping: bool = False


class LocalEngine:
    """Runs jobs here, for as long as the engine lives: a job stops in order when its process dies.

    Every worker holds one end of a pipe whose other end is here alone, and stops when that closes.

    Args:
        in_process: run each job inside `submit`, in this process; for tests and debuggers.
    """

    def __init__(self, *, in_process: bool = False) -> None:
        self._in_process = in_process
        self._jobs: dict[str, _Sent] = {}
        self._numbers = itertools.count(1)

    def submit(self, job: Job) -> str:
        """Start the job; returns its id.

        Raises:
            StocktakeError: in this process only, for a job that is refused before it starts.
        """
        job_id = f"local-{next(self._numbers)}"
        if self._in_process:
            self._jobs[job_id] = _Sent(job, None, None)
            self._run_here(job)
            return job_id
        noise = tempfile.TemporaryFile()  # noqa: SIM115 - lives as long as the job
        process = subprocess.Popen(
            [sys.executable, "-m", "stocktake.stages.worker", worker.HELD],
            stdin=subprocess.PIPE,
            stdout=noise,
            stderr=noise,
            process_group=0,  # Ctrl-C reaches our caller alone, who then stops the job in order
        )
        assert process.stdin is not None
        process.stdin.write(worker.to_json(job).encode() + b"\n")
        process.stdin.flush()  # and stays open: its end would stop the worker
        self._jobs[job_id] = _Sent(job, process, noise)
        return job_id

    def status(self, job_id: str) -> Status:
        """What the job is doing.

        Raises:
            EngineError: for an unknown id, or if the worker died without closing its run.
        """
        sent = self._find(job_id)
        run = RunFolder(Path(sent.job.output))
        if sent.process is None:
            return run.status  # type: ignore[return-value]
        code = sent.process.poll()
        if code is None:
            return "running"
        if sent.process.stdin is not None:
            sent.process.stdin.close()
        status = run.status if run.exists() else "missing"
        if status in ("done", "failed", "stopped") and code in _codes(status):
            return status  # type: ignore[return-value]
        if sent.is_stopping:  # before the worker could close its run, or had begun one
            if status == "running":
                run.close("stopped")
            return "stopped"
        raise self._died(sent, code)

    def stop(self, job_id: str) -> None:
        """Ask the worker to stop; its run ends as `stopped`."""
        sent = self._find(job_id)
        if sent.process is not None and sent.process.poll() is None:
            sent.is_stopping = True
            sent.process.terminate()

    def log(self, job_id: str) -> Iterator[str]:
        """The lines the run has logged so far, oldest first."""
        run = RunFolder(Path(self._find(job_id).job.output))
        for row in run.lines():
            yield f"{row['level']}: {row['message']}"

    def _find(self, job_id: str) -> _Sent:
        if job_id not in self._jobs:
            raise EngineError(f"the local engine knows no job {job_id}; it lists only its own")
        return self._jobs[job_id]

    def _run_here(self, job: Job) -> None:
        try:
            worker.run_job(job)
        except StocktakeError:
            run = RunFolder(Path(job.output))
            if not run.exists() or run.status != "failed":
                raise

    def _died(self, sent: _Sent, code: int) -> EngineError:
        """What to tell of a worker that ended without closing its run; closes the run."""
        assert sent.noise is not None
        sent.noise.seek(0)
        lines = sent.noise.read().decode(errors="replace").strip().splitlines()
        if code > 0 and lines and lines[-1].startswith("error: "):
            return EngineError(f"{sent.job.stage} was refused: {lines[-1].removeprefix('error: ')}")
        how = f"was killed by signal {-code}" if code < 0 else f"ended with exit code {code}"
        hint = " (out of memory, perhaps)" if code == -9 else ""
        last = f"; its last words: {lines[-1]}" if lines else ""
        error = EngineError(f"the worker of {sent.job.stage} {how}{hint}{last}; run it again")
        run = RunFolder(Path(sent.job.output))
        if run.exists() and run.status == "running":
            run.close("failed", error={"kind": "EngineError", "message": str(error)})
        return error


def _codes(status: str) -> Sequence[int]:
    """Exit codes of a worker whose run says `status`; another means the run is an older one."""
    codes = {"done": [0], "failed": [1, 2, 3, 4, 5], "stopped": [worker.STOPPED]}
    return codes[status]
