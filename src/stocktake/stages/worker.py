"""Worker: the only place where a job becomes a run, on any machine.

`python -m stocktake.stages.worker JOB.json` (or `-` for standard input) is what engines start.
`--held` instead of a file: the job is the first line of standard input, and the run is stopped
when the input ends, as it does when the process that holds its other end dies, however it dies.
"""

import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import traceback
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, TypeAlias

import msgspec

from stocktake.errors import (
    RunError,
    SettingsError,
    StocktakeError,
    by_name,
    from_os,
    not_installed,
)
from stocktake.runs import fingerprint, machine
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder, Witness
from stocktake.runs.job import Job
from stocktake.stages import table

Listener: TypeAlias = Callable[[int, int | None, str], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class Prepared:
    """A job that has been read: nothing is wrong with its settings and inputs."""

    job: Job
    stage: table.Stage
    settings: Any
    inputs: dict[str, RunFolder]
    fingerprint: str
    seen: table.Seen | None = None
    """What lies outside, where the stage wants it again."""

    @property
    def path(self) -> Path:
        """The folder of the run to make."""
        return Path(self.job.output)

    def is_done(self) -> bool:
        """Whether the finished run in the folder is what this job would make, with all copies."""
        run = RunFolder(self.path)
        if not run.exists() or run.status != "done" or run.fingerprint != self.fingerprint:
            return False
        lacks = self.stage.load().lacks
        return lacks is None or not lacks(self.settings, run)


def prepare(job: Job, *, context: Any = None) -> Prepared:
    """Read a job without running it.

    Args:
        job: the job.
        context: plain data beyond the settings that the run depends on.

    Raises:
        SettingsError: for settings that the stage refuses, anywhere or in this folder.
        RunError: if an input is missing, unfinished or of another stage.
    """
    import_plugins(job.plugins)
    stage = table.find(job.stage)
    parts = stage.load()
    settings: Any = reader.build(parts.settings, job.settings, where=stage.name)
    inputs = {name: _finished(job, name) for name in stage.inputs(job.inputs)}
    if parts.check_place:
        parts.check_place(settings, Path(job.output))
    try:
        seen = parts.outside(settings) if parts.outside else ""
    except OSError as err:
        raise from_os(err) from err
    outside = seen.digest if isinstance(seen, table.Seen) else seen
    mark = fingerprint.of_run(
        stage.name,
        stage.version,
        settings={k: v for k, v in reader.resolved(settings).items() if k not in parts.pace},
        inputs={name: run.fingerprint for name, run in inputs.items()},
        outside=outside if context is None else fingerprint.of([outside, context]),
    )
    return Prepared(
        job=job,
        stage=stage,
        settings=settings,
        inputs=inputs,
        fingerprint=mark,
        seen=seen if isinstance(seen, table.Seen) else None,
    )


def run_job(
    job: Job,
    *,
    extra: Mapping[str, Any] | None = None,
    context: Any = None,
    listener: Listener | None = None,
) -> RunFolder:
    """Make the run that `job` describes; a finished one that still holds is returned as it is.

    Args:
        job: the job.
        extra: arguments for a driver beyond its inputs (its engine, for instance).
        context: plain data beyond the settings that the run depends on.
        listener: told of progress, for callers in this process.

    Raises:
        StocktakeError: what the stage raised; the folder says `failed` and the log has the trace.
    """
    ready = prepare(job, context=context)
    if ready.is_done():
        return RunFolder.open(ready.path)
    if is_witness():
        return _witness(ready)
    ready.path.parent.mkdir(parents=True, exist_ok=True)
    with _only_writer(ready.path):
        _clear_the_way(ready)
        run = RunFolder.begin(
            ready.path, about=_about(ready), settings=reader.resolved(ready.settings)
        )
        run.listener = listener
        return _carry_out(ready, run, extra or {})


def is_witness() -> bool:
    """Whether torchrun started this process beside another one that writes the run."""
    return int(os.environ.get("RANK", "0")) > 0


def _witness(ready: Prepared) -> RunFolder:
    """Work on the run beside the process that writes it."""
    run = Witness(ready.path)
    try:
        ready.stage.load().function(**ready.inputs, settings=ready.settings, run=run)
    except Exception as err:
        raise _as_ours(err, ready.stage.name) from err
    return run


def _carry_out(ready: Prepared, run: RunFolder, extra: Mapping[str, Any]) -> RunFolder:
    function = ready.stage.load().function
    more = dict(extra) if ready.seen is None else {**extra, "seen": ready.seen.what}
    try:
        result = function(**ready.inputs, settings=ready.settings, run=run, **more)
        run.close("done", result=msgspec.to_builtins(result))
    except KeyboardInterrupt:
        run.close("stopped")
        raise
    except Exception as err:
        error = _as_ours(err, ready.stage.name)
        _fail(run, error)
        raise error from err
    return run


def _as_ours(err: Exception, stage: str) -> StocktakeError:
    if isinstance(err, StocktakeError):
        return err
    if isinstance(err, OSError):
        return from_os(err)
    if isinstance(err, ModuleNotFoundError):
        return not_installed(stage, err)
    if isinstance(err, MemoryError):
        return StocktakeError(f"{stage} ran out of memory; lower its batch_size or side_px")
    text = " ".join(str(err).split())
    kind = type(err).__name__
    return StocktakeError(
        f"{stage} failed unexpectedly with {kind}: {text}; its log.jsonl has the trace"
    )


def _fail(run: RunFolder, error: StocktakeError) -> None:
    """Close a run as failed; on a full disk even that may not go, and the first error counts."""
    try:
        run.fail_trace(traceback.format_exc())
        run.close("failed", error={"kind": type(error).__name__, "message": str(error)})
    except OSError:
        return


def import_plugins(names: Iterable[str]) -> None:
    """Import modules of the user's, so that their parts are on the shelves.

    Raises:
        SettingsError: naming the one that cannot be imported.
    """
    for name in names:
        try:
            import_module(name)
        except ImportError as err:
            raise SettingsError(f"plugins: '{name}' cannot be imported: {err}") from err


def _finished(job: Job, name: str) -> RunFolder:
    """The input run of that name; RunError with the command that makes it if it is not done."""
    stage = table.giver(name)
    address = job.inputs.get(name)
    if address is None or not RunFolder(Path(address)).exists():
        where = f" at {address}" if address else ""
        raise RunError(
            f"{job.stage} needs {name}{where}, which is not there;"
            f" `stocktake {stage.name}` makes it, --{name} RUN takes that of another run"
        )
    run = RunFolder.open(address)
    if run.stage != stage.name:
        raise RunError(
            f"{address} is a run of {run.stage};"
            f" {job.stage} takes {name} from a run of {stage.name}"
        )
    run.result()
    return run


@contextmanager
def _only_writer(path: Path) -> Iterator[None]:
    """One worker writes a folder: hold its lock (it ends with its process), or say who does."""
    lock = path.parent / f".{path.name}.lock"
    with lock.open("a+") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            raise RunError(
                f"{path} is being written by process {file.read() or '?'};"
                " wait for it, or choose another --name"
            ) from None
        file.truncate(0)
        file.write(str(os.getpid()))
        file.flush()
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


def _clear_the_way(ready: Prepared) -> None:
    """Move a run of other settings or inputs aside (train -> train.1); never overwrite one."""
    run = RunFolder(ready.path)
    if not run.exists() or run.fingerprint == ready.fingerprint:
        return
    run.set_aside()


def _about(ready: Prepared) -> dict[str, Any]:
    inputs = {
        name: {"address": str(run.path), "fingerprint": run.fingerprint}
        for name, run in ready.inputs.items()
    }
    return {
        "stage": ready.stage.name,
        "fingerprint": ready.fingerprint,
        "inputs": inputs,
        "versions": machine.versions(),
        "machine": machine.describe(),
    }


def to_json(job: Job) -> str:
    """A job as the worker reads it."""
    return json.dumps(asdict(job))


def main(arguments: list[str]) -> int:
    """Run the job in the named file; returns the exit code that the error's class has."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _interrupt)
    try:
        job = msgspec.json.decode(_read(arguments[0]), type=Job)
        if job.resources.processes > 1 and "RANK" not in os.environ:
            return _together(job)
        run_job(job)
    except KeyboardInterrupt:
        return STOPPED
    except StocktakeError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    return 0


def _together(job: Job) -> int:
    """Run the job in several processes by torchrun, and end as they do."""
    with tempfile.NamedTemporaryFile("w", suffix=".json") as file:
        file.write(to_json(job))
        file.flush()
        threads = max(machine.cores() // job.resources.processes, 1)
        launcher = ["-m", "torch.distributed.run", "--standalone"]
        launcher += ["--nproc-per-node", str(job.resources.processes)]
        process = subprocess.Popen(
            [sys.executable, *launcher, "-m", "stocktake.stages.worker", file.name],
            env={"OMP_NUM_THREADS": str(threads), **os.environ},
            process_group=0,
        )
        try:
            process.wait()
        except KeyboardInterrupt:
            process.terminate()
            process.wait()
    return _code_of(RunFolder(Path(job.output)))


def _code_of(run: RunFolder) -> int:
    """The exit code that belongs to how the run ended."""
    status = run.status if run.exists() else "missing"
    if status == "done":
        return 0
    if status == "stopped":
        return STOPPED
    if status == "failed":
        error = run.info()["error"]
        print(f"error: {error['message']}", file=sys.stderr)
        return by_name(error["kind"], error["message"]).exit_code
    return StocktakeError.exit_code


HELD = "--held"
"""Instead of a job's file: the job comes on standard input, and lasts as long as that is open."""
STOPPED = 130
"""Exit code of a run that was asked to stop, as shells have it for Ctrl-C."""
PATIENCE_S = 30.0
"""Time for an orderly stop when nobody is left to ask a second time, seconds."""


def _read(source: str) -> bytes:
    """The job's JSON; with HELD this process stops when the giver of the job is gone."""
    if source == "-":
        return sys.stdin.buffer.read()
    if source != HELD:
        return Path(source).read_bytes()
    text = sys.stdin.buffer.readline()
    if not text:  # the giver died before it gave anything
        raise KeyboardInterrupt
    threading.Thread(target=_stop_when_left, args=(sys.stdin.fileno(),), daemon=True).start()
    return text


def _stop_when_left(held: int) -> None:
    """Wait for the end of the input, then stop as at SIGTERM; what hangs is killed in the end.

    The descriptor is read directly: a thread that waits inside sys.stdin holds its lock, which
    the interpreter wants when it ends.
    """
    while os.read(held, 1024):
        pass
    # To the main thread, so that it does not sleep on while this one gets the signal.
    signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)
    time.sleep(PATIENCE_S)
    os.kill(os.getpid(), signal.SIGKILL)


def _interrupt(number: int, frame: object) -> None:
    """Stop once: Ctrl-C reaches the whole process group, and an engine's own stop comes on top."""
    for ignored in (signal.SIGTERM, signal.SIGINT):
        signal.signal(ignored, signal.SIG_IGN)
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
