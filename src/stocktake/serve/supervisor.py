"""Supervisor: several server processes behind one listening socket; one that dies is replaced.

It owns the socket and answers nothing itself. Every worker process inherits the socket and accepts
from it, so while the supervisor lives no waiting connection is lost: neither when a worker dies,
nor when the whole crew is exchanged for one that serves another bundle.

What a worker owes: it prints a line that begins with READY once it accepts connections, and ends in
order on SIGTERM or when its standard input closes, so that none outlives its supervisor.
"""

import os
import selectors
import signal
import socket
import subprocess
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal, TypeAlias

from stocktake.errors import EngineError
from stocktake.serve import sockets

Status: TypeAlias = Literal["Creating", "InService", "Updating", "Failed", "Stopped"]

READY = "listening on "
START_S = 60.0
"""A worker that is not ready by then will not come up; a start takes about a second."""
STOP_S = 35.0
"""A worker drains for up to 26 s; one that takes longer than this hangs."""
STEADY_S = 10.0
"""A worker that was ready for so long was sound: when it dies it is replaced at once."""
FIRST_WAIT_S, LONGEST_WAIT_S = 0.2, 30.0
"""Wait before a worker that died early is replaced; it doubles with every such death in a row."""
TURN_S = 0.05
EMPTY_S = 1.0
"""Longest wait for the crew to accept what waits at the door, before it is told to end."""
LAST_LINES = 3


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What the workers of a crew run."""

    number: int
    """Tells plans apart; 1 or more, a later plan has a higher one."""
    command: tuple[str, ...]
    """Words that start one worker; they name the socket's file descriptor."""
    processes: int
    """Workers at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class WorkerFacts:
    """One process."""

    pid: int
    plan: int
    """Number of the plan it runs."""
    state: str
    """starting, ready or leaving."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What a supervisor says of itself whenever it changes."""

    status: Status
    plan: int
    """Number of the plan in service; of the one that is tried while there is none."""
    refused: int = 0
    """Number of the last plan whose workers did not come up, 0 for none."""
    refusal: str = ""
    """Why not, in one line."""
    trouble: str = ""
    """How a worker in service ended, until all are ready again; one line."""
    restarts: int = 0
    """Workers that died and were replaced."""
    workers: tuple[WorkerFacts, ...] = ()


def end_with_supervisor() -> None:
    """Have this worker end in order when its standard input closes: the supervisor is gone."""

    def wait() -> None:
        while os.read(0, 1):
            pass
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=wait, daemon=True).start()


class Supervisor:
    """Keeps a crew of workers behind a socket until it is told to stop.

    Args:
        door: the listening socket; the commands of the plans name its descriptor.
        plan: what the first crew runs.
        tell: given a Report whenever it changes.
        say: given lines for people: what happens, and what the workers print.
        wanted: asked many times a second for the plan that should be in service, or None.
    """

    def __init__(
        self,
        door: socket.socket,
        plan: Plan,
        *,
        tell: Callable[[Report], None],
        say: Callable[[str], None],
        wanted: Callable[[], Plan | None] = lambda: None,
    ) -> None:
        self._door = door
        self._tell, self._say, self._wanted = tell, say, wanted
        self._crew = _slots(plan)
        self._next: list[_Slot] = []
        self._leaving: list[_Worker] = []
        self._selector = selectors.DefaultSelector()
        self._serving = self._newest = plan.number
        self._refused, self._refusal = 0, ""
        self._restarts, self._trouble = 0, ""
        self._was_up = self._is_stopping = False
        self._told: Report | None = None

    def run(self) -> None:
        """Serve until SIGTERM, SIGINT or `stop`, then let every worker finish what it accepted.

        Raises:
            EngineError: with a worker's last lines, if the first crew does not come up.
        """
        status: Status = "Failed"
        with self._stopped_by_signals():
            try:
                while not self._is_stopping:
                    self._turn()
                status = "Stopped"
            except EngineError as err:
                self._trouble = str(err)
                raise
            finally:
                self._end()
                self._report(status)

    def stop(self) -> None:
        """Have `run` end; may be called from anywhere."""
        self._is_stopping = True

    def _turn(self) -> None:
        self._listen(TURN_S)
        self._see_to_crew()
        if self._next:
            self._see_to_next()
        elif self._was_up and (plan := self._wanted()) and plan.number > self._newest:
            self._newest = plan.number
            self._next = _slots(plan)
            self._say(f"plan {plan.number}: starting {plan.processes} workers beside the old ones")
        self._see_to_leaving()
        self._report(self._status())

    def _listen(self, wait_s: float) -> None:
        """Take in what the workers print; their pipes must never fill."""
        for key, _ in self._selector.select(wait_s):
            worker: _Worker = key.data
            for line in worker.read():
                self._say(f"[{worker.process.pid}] {line}")
            if worker.is_silent:
                self._selector.unregister(key.fileobj)

    def _see_to_crew(self) -> None:
        """Start whom the crew lacks; the first crew must come up, later ones are tried again."""
        for slot in self._crew:
            ended = self._see_to(slot)
            if ended and not self._was_up:
                raise EngineError(f"a server process {ended}")
            if ended:
                self._restarts += 1
                self._trouble = ended
                self._say(f"a worker {ended}; another one starts in {slot.wait_s:g} s")
        if all(slot.is_ready for slot in self._crew):
            self._was_up, self._trouble = True, ""

    def _see_to_next(self) -> None:
        """Exchange the crews once the next one is ready; keep the old one if it never will be."""
        for slot in self._next:
            if ended := self._see_to(slot):
                self._refused = slot.plan.number
                self._refusal = f"a new server process {ended}"
                self._say(f"plan {slot.plan.number} is refused: {self._refusal}")
                self._let_go(self._next)
                self._next = []
                return
        if all(slot.is_ready for slot in self._next):
            self._say(f"plan {self._newest} is in service")
            self._let_go(self._crew)
            self._crew, self._next = self._next, []
            self._serving, self._trouble = self._newest, ""

    def _see_to(self, slot: "_Slot") -> str:
        """Look after one worker's place; returns how its worker ended, if it did."""
        now = time.monotonic()
        if slot.worker is None:
            if now >= slot.due:
                slot.worker = _Worker(slot.plan, self._door.fileno())
                self._selector.register(slot.worker.pipe, selectors.EVENT_READ, slot.worker)
            return ""
        worker = slot.worker
        if not worker.is_ready and now > worker.started + START_S:
            worker.process.kill()
            worker.process.wait()
        if worker.process.poll() is None:
            return ""
        self._forget(worker)
        slot.free(now)
        return worker.how_it_ended()

    def _see_to_leaving(self) -> None:
        for worker in list(self._leaving):
            if worker.process.poll() is None and time.monotonic() > worker.told_at + STOP_S:
                self._say(f"worker {worker.process.pid} does not end; it is killed")
                worker.process.kill()
                worker.process.wait()
            if worker.process.poll() is not None:
                self._forget(worker)
                self._leaving.remove(worker)

    def _let_go(self, slots: "list[_Slot]") -> None:
        for slot in slots:
            if slot.worker is not None:
                slot.worker.tell_to_end()
                self._leaving.append(slot.worker)

    def _forget(self, worker: "_Worker") -> None:
        """The last words of a worker that has ended."""
        for line in worker.read():
            self._say(f"[{worker.process.pid}] {line}")
        if worker.pipe in self._selector.get_map():
            self._selector.unregister(worker.pipe)
        worker.close()

    def _end(self) -> None:
        """Turn new clients away, have the crew accept who waits, then let it finish and go."""
        if any(slot.is_ready for slot in self._crew):
            sockets.turn_away(self._door)
            until = time.monotonic() + EMPTY_S
            while sockets.has_waiting(self._door) and time.monotonic() < until:
                self._listen(TURN_S / 10)
        self._door.close()
        self._let_go([*self._crew, *self._next])
        self._crew, self._next = [], []
        while self._leaving:
            self._listen(TURN_S)
            self._see_to_leaving()
        self._selector.close()

    def _status(self) -> Status:
        if self._next:
            return "Updating"
        if self._was_up and any(slot.is_ready for slot in self._crew):
            return "InService"
        if not self._was_up:
            return "Creating"
        is_hopeless = any(slot.early_deaths > 1 for slot in self._crew)
        return "Failed" if is_hopeless else "InService"

    def _report(self, status: Status) -> None:
        placed = [slot.worker for slot in (*self._crew, *self._next) if slot.worker is not None]
        report = Report(
            status=status,
            plan=self._serving,
            refused=self._refused,
            refusal=self._refusal,
            trouble=self._trouble,
            restarts=self._restarts,
            workers=tuple(worker.facts() for worker in (*placed, *self._leaving)),
        )
        if report != self._told:
            self._told = report
            self._tell(report)

    @contextmanager
    def _stopped_by_signals(self) -> Iterator[None]:
        if threading.current_thread() is not threading.main_thread():
            yield
            return
        ends = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = [signal.signal(number, lambda *_: self.stop()) for number in ends]
        try:
            yield
        finally:
            for number, handler in zip(ends, before, strict=True):
                signal.signal(number, handler)


@dataclass(slots=True)
class _Slot:
    """A place in a crew."""

    plan: Plan
    worker: "_Worker | None" = None
    due: float = 0.0
    wait_s: float = 0.0
    early_deaths: int = 0

    @property
    def is_ready(self) -> bool:
        return self.worker is not None and self.worker.is_ready

    def free(self, now: float) -> None:
        """The worker has died: when may another one start?"""
        assert self.worker is not None
        was_steady = self.worker.is_ready and now > self.worker.ready_at + STEADY_S
        self.early_deaths = 0 if was_steady else self.early_deaths + 1
        doubled = FIRST_WAIT_S * 2 ** min(self.early_deaths - 1, 20)
        self.wait_s = min(doubled, LONGEST_WAIT_S) if self.early_deaths else 0.0
        self.due = now + self.wait_s
        self.worker = None


def _slots(plan: Plan) -> list[_Slot]:
    return [_Slot(plan) for _ in range(plan.processes)]


class _Worker:
    """One server process and what it prints."""

    def __init__(self, plan: Plan, fd: int) -> None:
        self.plan = plan
        self.started = time.monotonic()
        self.ready_at = self.told_at = 0.0
        self.is_ready = self.is_silent = False
        self._last: deque[str] = deque(maxlen=LAST_LINES)
        self._half = b""
        self.process = subprocess.Popen(
            plan.command,
            stdin=subprocess.PIPE,  # held open: its end tells the worker that we are gone
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            pass_fds=[fd],
            process_group=0,  # Ctrl-C reaches us alone, and we stop the workers in order
        )
        assert self.process.stdout is not None
        self.pipe = self.process.stdout.fileno()
        os.set_blocking(self.pipe, False)

    def read(self) -> list[str]:
        """Whole lines printed since the last call; notes whether the worker said it is ready."""
        lines: list[bytes] = []
        while not self.is_silent:
            try:
                chunk = os.read(self.pipe, 65536)
            except BlockingIOError:
                break
            self.is_silent = not chunk
            *whole, self._half = (self._half + chunk + b"\n" * self.is_silent).split(b"\n")
            lines += whole
        said = [line.decode(errors="replace") for line in lines if line.strip()]
        if not self.is_ready and any(line.startswith(READY) for line in said):
            self.is_ready, self.ready_at = True, time.monotonic()
        self._last.extend(line for line in said if not line.startswith(READY))
        return said

    def tell_to_end(self) -> None:
        self.told_at = time.monotonic()
        if self.process.poll() is None:
            self.process.terminate()

    def how_it_ended(self) -> str:
        """One clause for people, with its last lines."""
        code = self.process.returncode
        if code == -signal.SIGKILL and not self.is_ready and self._is_late():
            how = f"was not ready within {START_S:g} s"
        elif code < 0:
            hint = " (out of memory, perhaps)" if code == -signal.SIGKILL else ""
            how = f"was killed by signal {-code}{hint}"
        else:
            how = f"ended with {code}"
        last = " | ".join(line.removeprefix("error: ") for line in self._last)
        return f"{how}; its last lines: {last}" if last else how

    def facts(self) -> WorkerFacts:
        state = "leaving" if self.told_at else "ready" if self.is_ready else "starting"
        return WorkerFacts(pid=self.process.pid, plan=self.plan.number, state=state)

    def close(self) -> None:
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def _is_late(self) -> bool:
        return time.monotonic() > self.started + START_S
