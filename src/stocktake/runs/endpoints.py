"""Endpoints: what is known of named servers on this machine, a folder each.

NAME/
    endpoint.json   status, address, model, workers; written by the server's supervisor
    order.json      which bundle it should serve, how; written by whoever deploys
    lock            held by the supervisor for as long as it lives
    server.log      what the supervisor and its workers say
    bundles/N/      a copy of the bundle of order N
    metrics/        counters that the workers share
"""

import fcntl
import json
import os
import re
import shutil
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import msgspec

from stocktake.errors import RunError, SettingsError, nearest
from stocktake.runs import journal

FORMAT = "endpoint/1"
STATUSES = ("Creating", "InService", "Updating", "Failed", "Stopped")
NAME = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,62}")
"""SageMaker's rule for names of endpoints."""
CLAIM_S = 0.5
"""Whoever looks whether a lock is held holds it for an instant; a claim outwaits that."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """What an endpoint should serve."""

    number: int
    """1 for the first, one more for each update."""
    bundle: str
    """Id of the bundle."""
    folder: str
    """The endpoint's own copy of it."""
    model: str
    """Where it was copied from."""
    settings: dict[str, Any]
    """How it is served, as in [serve]."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """A named server, as it said of itself last."""

    name: str
    status: str
    """Creating, InService, Updating, Failed or Stopped."""
    address: str
    """Where it answers: http://127.0.0.1:8080."""
    bundle: str
    """Id of the bundle in service."""
    model: str
    """Where this bundle was copied from."""
    pid: int
    """Process of the supervisor."""
    created: float
    """When it was deployed, Unix time."""
    order: int = 0
    """Number of the order in service."""
    settings: dict[str, Any] = field(default_factory=dict)
    """How it is served, as in [serve]."""
    refused: int = 0
    """Number of the last order whose workers did not come up, 0 for none."""
    why: str = ""
    """Why it failed, or why the last update was refused; one line."""
    restarts: int = 0
    """Workers that died and were replaced."""
    workers: list[dict[str, Any]] = field(default_factory=list)
    """Per process: pid, plan, state (starting, ready or leaving)."""
    format: str = FORMAT
    """Name and version of this file's format."""

    @property
    def ready(self) -> int:
        """Workers that take requests."""
        return sum(worker["state"] == "ready" for worker in self.workers)


class EndpointFolder:
    """The folder of one endpoint.

    Args:
        path: home of all endpoints / name.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.name = path.name
        self.log = path / "server.log"
        self.metrics = path / "metrics"

    def exists(self) -> bool:
        """Whether there is such an endpoint, in whatever state."""
        return (self.path / "endpoint.json").exists()

    def is_alive(self) -> bool:
        """Whether its supervisor runs: the lock of a process ends with it, whatever ended it."""
        try:
            with (self.path / "lock").open() as file:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        except FileNotFoundError:
            return False
        return False

    def read(self) -> Endpoint:
        """The endpoint as it is now: one whose process is gone without a word has failed.

        Raises:
            RunError: if there is none, or its file cannot be read.
        """
        is_alive = self.is_alive()  # before the file: it is written once more at the end
        found: Endpoint = _read(self.path / "endpoint.json", Endpoint)
        if is_alive or found.status in ("Failed", "Stopped"):
            return found
        gone = f"its process {found.pid} is gone; deploy it again, or delete it"
        return replace(found, status="Failed", why=gone, workers=[])

    def write(self, endpoint: Endpoint) -> None:
        """Say what the endpoint is; for the one process that owns it."""
        _write(self.path / "endpoint.json", asdict(endpoint))

    def order(self) -> Order:
        """What it should serve. Raises RunError if that cannot be read."""
        found: Order = _read(self.path / "order.json", Order)
        return found

    def give(self, order: Order) -> None:
        """Ask for that to be served; the supervisor takes note by itself."""
        _write(self.path / "order.json", asdict(order))

    def ordered_at(self) -> int:
        """When the order was given, in nanoseconds, to see cheaply whether there is another."""
        try:
            return (self.path / "order.json").stat().st_mtime_ns
        except FileNotFoundError:
            return 0

    def keep(self, bundle: Path, number: int) -> Path:
        """A copy of the bundle for order `number`: the run it is in may be made anew or moved."""
        folder = self.path / "bundles" / str(number)
        shutil.rmtree(folder, ignore_errors=True)
        shutil.copytree(bundle, folder)
        return folder

    def forget_bundles(self, *, before: int) -> None:
        """Remove the copies of earlier orders; workers that still end have loaded theirs."""
        for folder in (self.path / "bundles").iterdir():
            if int(folder.name) < before:
                self.forget_bundle(int(folder.name))

    def forget_bundle(self, number: int) -> None:
        """Remove the copy of that order."""
        shutil.rmtree(self.path / "bundles" / str(number), ignore_errors=True)

    def last_lines(self, lines: int = 10) -> list[str]:
        """The end of the log."""
        try:
            with self.log.open("rb") as file:
                file.seek(max(file.seek(0, os.SEEK_END) - 65536, 0))
                return file.read().decode(errors="replace").splitlines()[-lines:]
        except FileNotFoundError:
            return []

    def claim(self) -> int:
        """Take the name; returns the descriptor of its lock, which may be handed on to a process.

        Raises:
            SettingsError: if a living process has it.
        """
        until = time.monotonic() + CLAIM_S
        while True:
            self.path.mkdir(parents=True, exist_ok=True)
            fd = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT, 0o600)
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                if _is_file_of(fd, self.path / "lock"):  # not one that was just deleted
                    return fd
            except BlockingIOError:
                if time.monotonic() > until:
                    os.close(fd)
                    raise SettingsError(
                        f"there is an endpoint {self.name} already; choose another name, or"
                        f" `stocktake deploy BUNDLE --name {self.name} --update` to have it serve"
                        " another bundle"
                    ) from None
            os.close(fd)
            time.sleep(0.02)

    @contextmanager
    def updating(self) -> Iterator[None]:
        """Only one at a time may give orders.

        Raises:
            SettingsError: if somebody else does.
        """
        with (self.path / "update.lock").open("a") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise SettingsError(
                    f"endpoint {self.name} is being updated by another command; wait for it"
                ) from None
            yield

    def clear(self) -> None:
        """Remove what an earlier endpoint of this name left; for whoever has claimed it."""
        for path in self.path.iterdir():
            if path.name != "lock":
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    def remove(self) -> None:
        """Remove the folder; for whoever has claimed it."""
        shutil.rmtree(self.path)


def find(home: Path, name: str) -> EndpointFolder:
    """The endpoint of that name.

    Raises:
        SettingsError: if there is none, with the nearest name.
    """
    folder = EndpointFolder(home / check_name(name))
    if not folder.exists():
        known = [one.name for one in every(home)]
        raise SettingsError(f"there is no endpoint {name}; {nearest(name, known)}")
    return folder


def every(home: Path) -> list[EndpointFolder]:
    """All endpoints of this machine's user, by name."""
    if not home.is_dir():
        return []
    return [folder for path in sorted(home.iterdir()) if (folder := EndpointFolder(path)).exists()]


def check_name(name: str) -> str:
    """The name, if an endpoint may have it.

    Raises:
        SettingsError: if not.
    """
    if NAME.fullmatch(name) and len(name) <= 63:
        return name
    raise SettingsError(
        f"--name must be letters, digits and single hyphens, 63 at most, got '{name}'"
    )


def _is_file_of(fd: int, path: Path) -> bool:
    try:
        return os.fstat(fd).st_ino == path.stat().st_ino
    except FileNotFoundError:
        return False


def _read(path: Path, kind: Any) -> Any:
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
        return msgspec.convert(row, type=kind)
    except FileNotFoundError:
        raise RunError(f"{path} is not there; deploy the endpoint again") from None
    except (ValueError, msgspec.ValidationError) as err:
        raise RunError(
            f"{path} cannot be read ({' '.join(str(err).split())}); `stocktake endpoints delete"
            f" {path.parent.name}`, then deploy it again"
        ) from err


def _write(path: Path, row: Mapping[str, Any]) -> None:
    journal.write_whole(path, json.dumps(row, indent=2, ensure_ascii=False) + "\n")
