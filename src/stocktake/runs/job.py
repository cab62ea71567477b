"""Job, Resources, Status and the Engine protocol: a run not yet made, and who can make it."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

Status = Literal["waiting", "running", "done", "failed", "stopped"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Resources:
    """What a job needs of a machine; 0 means whatever is there."""

    cpus: int = 0
    """Processor cores."""
    gpus: int = 0
    """Graphics processors."""
    processes: int = 1
    """Processes that work on the job together."""
    memory_gb: float = 0.0
    """Main memory in gigabytes."""
    timeout_s: float = 0.0
    """Seconds after which the job is stopped; 0 for never."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Job:
    """A run not yet made: plain data that any engine can carry."""

    stage: str
    """Name of the stage, from `stages/table.py`."""
    settings: Mapping[str, Any]
    """The stage's own table; what it leaves out takes its default."""
    inputs: Mapping[str, str]
    """Name of an input -> address of a finished run folder."""
    output: str
    """Address of the run folder to make."""
    resources: Resources = field(default_factory=Resources)
    """What the job needs of a machine."""
    plugins: tuple[str, ...] = ()
    """Modules to import first, so that their parts are on the shelves."""


class Engine(Protocol):
    """Where jobs run. An engine carries a job to `run_job` on some machine and watches it."""

    def submit(self, job: Job) -> str:
        """Send the job; returns its id. Raises EngineError if it is refused."""

    def status(self, job_id: str) -> Status:
        """What the job is doing. Raises EngineError for an unknown id."""

    def stop(self, job_id: str) -> None:
        """Ask the job to stop; it ends as `stopped` and keeps what it had finished."""

    def log(self, job_id: str) -> Iterator[str]:
        """The lines the job has logged so far, oldest first."""
