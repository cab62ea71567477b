"""A named endpoint under load: workers are killed, bundles exchanged, and it is told to end."""

import http.client
import itertools
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from bright import grey, write_bundle

from stocktake.runs import endpoints
from stocktake.runs.endpoints import Endpoint
from stocktake.stages.deploy import delete, deploy, update

CLIENTS = 6
JPEG = {"Content-Type": "image/jpeg"}


class Load:
    """Clients that ask one question after another; half of them keep their connection."""

    def __init__(self, address: str) -> None:
        where = urlsplit(address)
        self._where = where.hostname or "", where.port or 0
        self.answers: list[tuple[int, str]] = []
        """(photo's count less the answer, bundle), in the order they came."""
        self.failures: list[str] = []
        self.turned_away = 0
        """Clients that found nobody to connect to, and went home."""
        self._is_over = False
        self._threads = [
            threading.Thread(target=self._ask, args=(number,)) for number in range(CLIENTS)
        ]

    @contextmanager
    def on(self) -> Iterator["Load"]:
        for thread in self._threads:
            thread.start()
        try:
            yield self
        finally:
            self._is_over = True
            for thread in self._threads:
                thread.join(60)

    def wait(self, more: int) -> None:
        """Until so many more answers have come."""
        goal = len(self.answers) + more
        wait_for(lambda: len(self.answers) >= goal)

    def _ask(self, number: int) -> None:
        connection = http.client.HTTPConnection(*self._where, timeout=30)
        for count in itertools.cycle(range(6)):
            if self._is_over:
                break
            if connection.sock is None:
                try:
                    connection.connect()
                except OSError:
                    self.turned_away += 1
                    break
            try:
                connection.request("POST", "/v1/count", grey(count), JPEG)
                reply = connection.getresponse()
                said = json.loads(reply.read())
                self.answers.append((count - said["count"], said["bundle"]))
            except (OSError, http.client.HTTPException, KeyError) as err:
                self.failures.append(repr(err))
                connection.close()
            if number % 2:
                connection.close()
        connection.close()


def wait_for(fact: Callable[[], object], *, within_s: float = 60) -> None:
    until = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.02)


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    for folder in endpoints.every(tmp_path / "home"):
        delete(folder.name, home=tmp_path / "home")


@pytest.fixture
def shelf(home: Path, tmp_path: Path) -> Endpoint:
    """An endpoint of two processes."""
    bundle = write_bundle(tmp_path / "first", data="first")
    table = {"port": 0, "workers": 1, "processes": 2}
    return deploy(bundle, name="shelf", home=home, table=table, environment=dict(os.environ))


def test_a_killed_worker_is_replaced_and_then_the_bundle_is_exchanged_without_a_failure(
    shelf, home, tmp_path
):
    folder = endpoints.find(home, "shelf")
    victim, other = (worker["pid"] for worker in shelf.workers)
    with Load(shelf.address).on() as load:
        load.wait(20)
        os.kill(victim, signal.SIGKILL)
        wait_for(lambda: folder.read().restarts == 1 and folder.read().ready == 2)
        load.wait(20)
        lost = len(load.failures)

        after = update(
            write_bundle(tmp_path / "second", data="second"), name="shelf", home=home, table={}
        )
        wait_for(lambda: len(folder.read().workers) == 2)  # the old ones are gone
        load.wait(20)

    assert lost <= CLIENTS  # what the victim had in its hands; nobody else is hurt
    assert load.failures[lost:] == [] and load.turned_away == 0
    assert {gap for gap, _ in load.answers} == {0}
    seen = [bundle for _, bundle in load.answers]
    assert set(seen) == {shelf.bundle, after.bundle} and shelf.bundle != after.bundle
    assert seen[0] == shelf.bundle and seen[-1] == after.bundle
    assert is_gone(victim) and is_gone(other)
    assert folder.read().restarts == 1 and folder.read().status == "InService"


def test_told_to_end_under_load_it_answers_all_it_accepted(shelf, home):
    folder = endpoints.find(home, "shelf")
    with Load(shelf.address).on() as load:
        load.wait(20)
        os.kill(shelf.pid, signal.SIGTERM)
        wait_for(lambda: not folder.is_alive())

    _, code = os.waitpid(shelf.pid, 0)
    assert load.failures == [] and load.turned_away == CLIENTS
    assert code == 0 and folder.read().status == "Stopped"
    assert all(is_gone(worker["pid"]) for worker in shelf.workers)


def test_served_by_several_processes_in_the_foreground(tmp_path):
    bundle = write_bundle(tmp_path / "bundle")
    command = [sys.executable, "-m", "stocktake", "serve", str(bundle)]
    command += ["--set", "serve.port=0", "--set", "serve.processes=2"]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdout=pipe, stderr=pipe, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        address = process.stdout.readline().removeprefix("listening on ").strip()
        with Load(address).on() as load:
            load.wait(20)
        process.terminate()

        assert process.wait(60) == 0
        said = process.stderr.read()
    assert load.failures == [] and {gap for gap, _ in load.answers} == {0}
    assert len({line.split("]")[0] for line in said.splitlines() if "listening on" in line}) == 2
