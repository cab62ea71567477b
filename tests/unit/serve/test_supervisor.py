"""The supervisor over workers of a few lines, that answer every connection with a word."""

import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

import pytest

from stocktake.errors import EngineError
from stocktake.serve import sockets, supervisor
from stocktake.serve.supervisor import Plan, Report, Supervisor

WORKER = """
import signal, socket, sys, time
word, fd = sys.argv[1], int(sys.argv[2])
if word == "bad": sys.exit("error: the self-test photo got count 3")
if word == "mute": time.sleep(60)
is_told = []
signal.signal(signal.SIGTERM, lambda *_: is_told.append(1))
from stocktake.serve.supervisor import end_with_supervisor
end_with_supervisor()
door = socket.socket(fileno=fd)
door.settimeout(0.02)
print("listening on a socket", flush=True)
print("half a line", end="", flush=True)
while not is_told:
    try: client = door.accept()[0]
    except OSError: continue
    client.settimeout(5)
    if client.recv(9): time.sleep(0.02); client.sendall(word.encode())
    client.close()
"""
PLACE = "import sys; sys.path[:0] = {path!r}\n"


class Kept:
    """A supervisor in a thread, what it says and reports, and the plan it should follow."""

    def __init__(self, word: str, processes: int = 1) -> None:
        self.door = sockets.bound("127.0.0.1", 0)
        self.address = self.door.getsockname()
        self.reports: list[Report] = []
        self.lines: list[str] = []
        self.wanted: Plan | None = None
        self.error: EngineError | None = None
        self.supervisor = Supervisor(
            self.door,
            self.plan(1, word, processes),
            tell=self.reports.append,
            say=self.lines.append,
            wanted=lambda: self.wanted,
        )
        self.thread = threading.Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        try:
            self.supervisor.run()
        except EngineError as err:
            self.error = err

    def plan(self, number: int, word: str, processes: int = 1) -> Plan:
        code = PLACE.format(path=sys.path) + WORKER
        command = (sys.executable, "-S", "-c", code, word, str(self.door.fileno()))
        return Plan(number=number, command=command, processes=processes)

    @property
    def last(self) -> Report:
        return self.reports[-1] if self.reports else Report(status="Creating", plan=0)

    def ready(self) -> list[int]:
        return [worker.pid for worker in self.last.workers if worker.state == "ready"]

    def ask(self) -> str:
        with socket.create_connection(self.address, timeout=20) as client:
            client.sendall(b"?")
            return client.recv(99).decode()


@contextmanager
def kept(word: str, processes: int = 1) -> Iterator[Kept]:
    made = Kept(word, processes)
    try:
        yield made
    finally:
        made.supervisor.stop()
        made.thread.join(30)
        assert not made.thread.is_alive()


def wait_for(fact: Callable[[], object], *, within_s: float = 30) -> None:
    until = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.01)


def is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def test_as_many_workers_as_planned_answer_behind_one_socket():
    with kept("one", processes=2) as made:
        wait_for(lambda: len(made.ready()) == 2)

        assert {made.ask() for _ in range(5)} == {"one"}
        pids = made.ready()

    assert made.last.status == "Stopped" and made.last.workers == ()
    assert all(map(is_gone, pids)) and made.error is None
    assert any(line.endswith("half a line") for line in made.lines)


def test_a_killed_worker_is_replaced_and_the_others_go_on():
    with kept("one", processes=2) as made:
        wait_for(lambda: len(made.ready()) == 2)
        first = made.ready()
        os.kill(first[0], signal.SIGKILL)

        assert {made.ask() for _ in range(20)} == {"one"}
        wait_for(lambda: len(made.ready()) == 2 and made.ready() != first)

        assert first[1] in made.ready() and first[0] not in made.ready()
        assert made.last.restarts == 1 and made.last.status == "InService"
        assert any("was killed by signal 9" in line for line in made.lines)


def test_a_worker_that_keeps_dying_waits_longer_every_time_and_is_said_to_fail(monkeypatch):
    monkeypatch.setattr(supervisor, "FIRST_WAIT_S", 0.01)
    with kept("one") as made:
        wait_for(made.ready)
        slot = made.supervisor._crew[0]
        slot.plan = made.plan(1, "bad")  # as if the disk had gone
        os.kill(made.ready()[0], signal.SIGKILL)
        wait_for(lambda: made.last.restarts >= 3)

        assert slot.wait_s >= 0.04
        assert made.last.status == "Failed" and "self-test photo" in made.last.trouble
        slot.plan = made.plan(1, "one")
        wait_for(lambda: made.last.status == "InService" and not made.last.trouble)


def test_a_first_crew_that_does_not_come_up_is_an_error_with_its_last_lines():
    with kept("bad", processes=2) as made:
        made.thread.join(30)

    assert str(made.error) == (
        "a server process ended with 1; its last lines: the self-test photo got count 3"
    )
    assert made.last.status == "Failed" and made.last.trouble == str(made.error)
    assert made.last.workers == ()


def test_a_worker_that_is_never_ready_is_an_error(monkeypatch):
    monkeypatch.setattr(supervisor, "START_S", 0.3)
    with kept("mute") as made:
        made.thread.join(30)

    assert str(made.error) == "a server process was not ready within 0.3 s"


def test_a_new_plan_takes_over_and_every_question_on_the_way_is_answered():
    with kept("old", processes=2) as made:
        wait_for(lambda: len(made.ready()) == 2)
        old, said = made.ready(), [made.ask()]
        made.wanted = made.plan(2, "new", processes=1)
        while "new" not in said or made.last.status == "Updating":
            said.append(made.ask())
        wait_for(lambda: len(made.last.workers) == 1)
        said.append(made.ask())

        assert set(said) == {"old", "new"} and said[-1] == "new"
        assert made.last.plan == 2 and made.last.status == "InService"
        assert all(map(is_gone, old))


def test_a_plan_whose_workers_fail_is_refused_and_the_old_ones_stay():
    with kept("old") as made:
        wait_for(made.ready)
        old = made.ready()
        made.wanted = made.plan(2, "bad")
        wait_for(lambda: made.last.refused == 2)

        assert made.ask() == "old" and made.ready() == old
        assert made.last.plan == 1 and made.last.status == "InService"
        assert "self-test photo got count 3" in made.last.refusal
        made.wanted = made.plan(3, "new")
        wait_for(lambda: made.last.plan == 3)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere the door cannot be held shut")
def test_everybody_who_got_in_is_answered_before_the_end_while_others_still_come():
    answers: list[bytes] = []

    def come_again() -> None:
        while True:
            try:
                client = socket.create_connection(made.address, timeout=20)
            except OSError:
                return
            with client:
                try:
                    client.sendall(b"?")
                    answers.append(client.recv(9))
                except OSError as err:
                    answers.append(repr(err).encode())

    with kept("one") as made:
        wait_for(made.ready)
        clients = [threading.Thread(target=come_again) for _ in range(8)]  # one worker: they queue
        for client in clients:
            client.start()
        wait_for(lambda: len(answers) > 20)
        made.supervisor.stop()
        for client in clients:
            client.join(30)

    assert set(answers) == {b"one"}


def test_workers_end_when_their_supervisor_is_killed():
    code = PLACE.format(path=sys.path) + (
        "import sys\n"
        "from stocktake.serve import sockets\n"
        "from stocktake.serve.supervisor import Plan, Supervisor\n"
        "door = sockets.bound('127.0.0.1', 0)\n"
        "words = (sys.executable, '-S', '-c', sys.argv[1], 'one', str(door.fileno()))\n"
        "plan = Plan(number=1, command=words, processes=2)\n"
        "tell = lambda r: print(r.status, *(w.pid for w in r.workers), flush=True)\n"
        "Supervisor(door, plan, tell=tell, say=lambda line: None).run()\n"
    )
    worker = PLACE.format(path=sys.path) + WORKER
    command = [sys.executable, "-S", "-c", code, worker]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("InService"):
                break
        pids = [int(word) for word in line.split()[1:]]
        process.kill()

    assert len(pids) == 2
    wait_for(lambda: all(map(is_gone, pids)))
