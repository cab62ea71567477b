import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from stocktake.cli.serve import serve_table
from stocktake.runs import machine
from stocktake.runs import settings as reader
from stocktake.runs.endpoints import Endpoint, EndpointFolder, Order
from stocktake.serve import sockets
from stocktake.serve.supervisor import Report, WorkerFacts
from stocktake.stages import supervise
from stocktake.stages.serve import ServeSettings


def report(*pids: int, plan: int = 1, **change: object) -> Report:
    workers = tuple(WorkerFacts(pid=pid, plan=plan, state="ready") for pid in pids)
    return Report(**({"status": "InService", "plan": plan, "workers": workers} | change))  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> EndpointFolder:
    made = EndpointFolder(tmp_path / "shelf")
    made.metrics.mkdir(parents=True)
    facts = {"address": "http://127.0.0.1:9", "bundle": "a", "model": "m", "pid": 0, "created": 1.0}
    made.write(Endpoint(name="shelf", status="Creating", **facts))  # type: ignore[arg-type]
    return made


def give(folder: EndpointFolder, number: int, bundle: Path, **settings: object) -> None:
    copy = str(folder.keep(bundle, number))
    folder.give(
        Order(number=number, bundle=f"id {number}", folder=copy, model="m", settings=settings)
    )


def test_a_worker_gets_every_setting_as_a_person_would_type_it():
    settings = ServeSettings(host="0.0.0.0", workers=3, body_timeout_s=1.5, processes=4)
    words = supervise.plan_of(7, Path("the bundle"), settings, 9).command
    sets = tuple(words[i + 1] for i, word in enumerate(words) if word == "--set")

    given = reader.build(ServeSettings, serve_table(sets), where="serve")

    assert words[1:5] == ("-m", "stocktake", "serve", "the bundle")
    assert words[-2:] == ("--fd", "9")
    assert (given.host, given.workers, given.body_timeout_s) == ("0.0.0.0", 3, 1.5)
    assert given.processes == 1


def test_cores_are_dealt_out_among_the_processes(monkeypatch):
    monkeypatch.setattr(machine, "cores", lambda: 5)
    plan = supervise.plan_of(1, Path("bundle"), ServeSettings(processes=2), 9)

    assert "serve.workers=3" in plan.command and plan.processes == 2


def test_what_dead_workers_said_of_the_moment_is_removed_and_their_sums_stay(tmp_path):
    names = ("gauge_livesum_7.db", "gauge_liveall_8.db", "counter_7.db", "gauge_all_7.db")
    for name in names:
        (tmp_path / name).touch()

    alive = supervise.forget_gauges(tmp_path, {7, 8}, report(8, 9))

    assert alive == {8, 9}
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(names[1:])


def test_an_order_becomes_a_plan_once_and_what_is_said_of_it_is_written(folder, bright_bundle):
    give(folder, 1, bright_bundle, processes=2)
    keeper = supervise._Keeper(folder, 9, print)

    plan = keeper.wanted()
    keeper.tell(report(11, 12))

    assert plan is not None and (plan.number, plan.processes) == (1, 2)
    assert keeper.wanted() is None
    written = json.loads((folder.path / "endpoint.json").read_text())
    assert (written["bundle"], written["pid"], written["order"]) == ("id 1", os.getpid(), 1)
    assert [worker["pid"] for worker in written["workers"]] == [11, 12]
    assert (written["created"], written["address"]) == (1.0, "http://127.0.0.1:9")


def test_a_plan_in_service_takes_the_bundles_of_earlier_ones_away(folder, bright_bundle):
    keeper = supervise._Keeper(folder, 9, print)
    for number in (1, 2):
        give(folder, number, bright_bundle)
        os.utime(folder.path / "order.json", ns=(number, number))  # whatever the clock's step is
        assert keeper.wanted() is not None
        keeper.tell(report(11, plan=number))

    assert [path.name for path in (folder.path / "bundles").iterdir()] == ["2"]


def test_a_refusal_and_a_trouble_are_why(folder, bright_bundle):
    give(folder, 1, bright_bundle)
    keeper = supervise._Keeper(folder, 9, print)
    keeper.wanted()
    said = []
    for change in ({"refused": 2, "refusal": "no"}, {"trouble": "died", "refusal": "no"}):
        keeper.tell(report(11, **change))
        said.append(json.loads((folder.path / "endpoint.json").read_text())["why"])

    assert said == ["no", "died"]


@pytest.mark.parametrize("text", ["{", '{"number": "x"}'])
def test_an_order_that_cannot_be_read_is_said_and_left_out(folder, text):
    (folder.path / "order.json").write_text(text)
    said: list[str] = []

    assert supervise._Keeper(folder, 9, said.append).wanted() is None
    assert len(said) == 1 and "order.json cannot be read" in said[0]


def test_an_order_with_a_wrong_setting_is_said_and_left_out(folder, bright_bundle):
    give(folder, 1, bright_bundle, prot=1)
    said: list[str] = []

    assert supervise._Keeper(folder, 9, said.append).wanted() is None
    assert "did you mean 'port'" in said[0]


def test_the_process_of_an_endpoint_ends_with_the_workers_error(folder, bright_bundle):
    (bright_bundle / "model.onnx").write_bytes(b"changed")
    give(folder, 1, bright_bundle)
    with sockets.bound("127.0.0.1", 0) as door:
        command = [sys.executable, "-m", "stocktake.stages.supervise"]
        command += [str(folder.path), str(door.fileno())]
        done = subprocess.run(command, pass_fds=[door.fileno()], capture_output=True, text=True)

    found = folder.read()
    assert done.returncode == 5 and done.stdout == ""
    assert found.status == "Failed" and "has hash" in found.why and found.workers == []
    assert done.stderr.splitlines()[-1].endswith(f"error: {found.why}")


def test_a_port_in_use_is_said_before_anything_is_started(bright_bundle, tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(supervise.StocktakeError, match="choose another port"),
    ):
        supervise.serve_many(
            bright_bundle,
            ServeSettings(port=taken.getsockname()[1], processes=2),
            ready=pytest.fail,
            say=pytest.fail,
            metrics=tmp_path,
        )
