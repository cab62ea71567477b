"""Named endpoints, each with real processes; under load they are in tests/integration."""

import json
import os
import signal
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from bright import grey, write_bundle

from stocktake.errors import DataError, EngineError, SettingsError
from stocktake.runs import endpoints
from stocktake.runs.endpoints import Endpoint
from stocktake.stages import ask
from stocktake.stages.deploy import delete, deploy, update

FREE = {"port": 0, "workers": 1}


def begin(bundle: Path, home: Path, *, name: str = "shelf", **settings: object) -> Endpoint:
    return deploy(bundle, name=name, home=home, table=FREE | settings, environment=dict(os.environ))


def end(home: Path) -> None:
    for folder in endpoints.every(home):
        delete(folder.name, home=home)


def spoil(bundle: Path) -> Path:
    """The bundle with another answer expected of its self-test."""
    path = bundle / "self-test" / "expected.json"
    said = json.loads(path.read_text())
    path.write_text(json.dumps(said | {"probabilities": said["probabilities"][::-1]}))
    return bundle


def is_gone(pid: int) -> bool:
    with suppress(ProcessLookupError, ChildProcessError):
        os.waitpid(pid, os.WNOHANG)  # where it is a child of ours
    with suppress(ProcessLookupError):
        os.kill(pid, 0)
        return False
    return True


def wait_for(fact: Callable[[], object], *, within_s: float = 30) -> None:
    until = time.monotonic() + within_s
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.02)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Path]:
    yield tmp_path / "home"
    end(tmp_path / "home")


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The home of an endpoint `shelf` that serves, for tests that leave it as it is."""
    home = tmp_path_factory.mktemp("shelf")
    begin(write_bundle(home.parent / "served", data="first"), home)
    yield home
    end(home)


def test_a_deployed_bundle_answers_at_its_address_from_a_copy_of_its_own(home, bright_bundle):
    made = begin(bright_bundle, home)
    bright_bundle.rename(bright_bundle.with_name("moved"))
    (home / "photo.jpg").write_bytes(grey(4))

    (row,) = ask.ask(made.address, [home / "photo.jpg"])

    assert row["count"] == 4 and row["bundle"] == made.bundle
    assert made.status == "InService" and made.ready == 1
    assert made.model == str(bright_bundle)
    delete("shelf", home=home)
    assert not (home / "shelf").exists() and is_gone(made.pid)
    assert all(is_gone(worker["pid"]) for worker in made.workers)


def test_a_name_taken_is_one_line_and_the_one_who_has_it_goes_on(shelf, bright_bundle):
    with pytest.raises(SettingsError, match="there is an endpoint shelf already; .*--update"):
        begin(bright_bundle, shelf)

    assert endpoints.find(shelf, "shelf").read().status == "InService"


def test_a_port_in_use_is_one_line_and_nothing_is_left(home, bright_bundle):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(SettingsError, match=r"cannot listen .*\(Address already in use\)"),
    ):
        begin(bright_bundle, home, port=taken.getsockname()[1])

    assert list(home.iterdir()) == []


def test_a_folder_that_is_no_bundle_leaves_nothing(home, tmp_path):
    with pytest.raises(DataError):
        begin(tmp_path, home)

    assert not home.exists()


def test_a_bundle_that_fails_its_self_test_leaves_a_record_and_no_process(home, bright_bundle):
    with pytest.raises(EngineError, match="endpoint shelf failed: .*self-test"):
        begin(spoil(bright_bundle), home)

    found = endpoints.find(home, "shelf").read()
    assert found.status == "Failed" and "self-test" in found.why
    assert found.workers == [] and is_gone(found.pid)
    begin(write_bundle(home.parent / "good"), home)  # over what failed
    assert endpoints.find(home, "shelf").read().status == "InService"


def test_an_endpoint_whose_process_was_killed_has_failed_and_can_be_deployed_over(
    home, bright_bundle
):
    made = begin(bright_bundle, home)
    os.kill(made.pid, signal.SIGKILL)
    wait_for(lambda: all(map(is_gone, [made.pid, *(w["pid"] for w in made.workers)])))

    assert endpoints.find(home, "shelf").read().status == "Failed"
    with pytest.raises(EngineError, match="is Failed; deploy it without --update"):
        update(bright_bundle, name="shelf", home=home, table={})
    assert begin(bright_bundle, home).status == "InService"


def test_an_update_that_fails_its_self_test_is_refused_and_the_old_bundle_stays(shelf, tmp_path):
    before = endpoints.find(shelf, "shelf").read()
    with pytest.raises(EngineError, match=f"goes on with bundle {before.bundle}, .*self-test"):
        update(spoil(write_bundle(tmp_path / "bad")), name="shelf", home=shelf, table={})

    after = endpoints.find(shelf, "shelf").read()
    assert after.status == "InService" and after.workers == before.workers
    assert ask.ping(after.address)["bundle"] == before.bundle
    assert [path.name for path in (shelf / "shelf" / "bundles").iterdir()] == ["1"]


def test_an_update_keeps_the_address(shelf, bright_bundle):
    with pytest.raises(SettingsError, match="keeps its address"):
        update(bright_bundle, name="shelf", home=shelf, table={"host": "0.0.0.0"})


def test_names_nobody_has_are_answered_with_the_nearest(shelf, bright_bundle):
    for call in (
        lambda: update(bright_bundle, name="shelv", home=shelf, table={}),
        lambda: delete("shelv", home=shelf),
    ):
        with pytest.raises(SettingsError, match="no endpoint shelv; did you mean 'shelf'"):
            call()


def test_a_deployment_that_is_interrupted_leaves_nothing(home, bright_bundle, monkeypatch):
    def interrupted(address: str) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ask, "ping", interrupted)
    with pytest.raises(KeyboardInterrupt):
        begin(bright_bundle, home)

    assert list(home.iterdir()) == []
