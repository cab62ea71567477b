"""The words; what lies behind them is in tests/unit/stages/test_deploy.py."""

import json
import socket

import pytest
from bright import grey, write_bundle

from stocktake.runs.endpoints import EndpointFolder


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return tmp_path / "state" / "stocktake" / "endpoints"


def test_from_deploying_to_deleting(say, home, tmp_path):
    bundle = write_bundle(tmp_path / "runs" / "demo" / "bundle")
    for count in (1, 5):
        (tmp_path / f"{count}.jpg").write_bytes(grey(count))
    (tmp_path / "bad.jpg").write_bytes(b"no photo")
    photos = [tmp_path / name for name in ("5.jpg", "bad.jpg", "1.jpg")]
    sets = ["--set", "serve.port=0", "--set", "serve.workers=1"]
    try:
        deployed = say("deploy", bundle.parent, "--name", "shelf", *sets, "--json")
        (listed,) = say("endpoints", "--json").json()
        asked = say("predict", "--endpoint", "shelf", *photos)
        as_json = say("predict", "--endpoint", "shelf", photos[0], "--json")
        again = say("deploy", bundle, "--name", "shelf", *sets)
        shown = say("endpoints", "show", "shelf")
    finally:
        deleted = say("endpoints", "delete", "shelf")

    address = deployed.json()["address"]
    assert deployed.code == 0 and listed["address"] == address
    assert (listed["status"], listed["workers"], listed["model"]) == ("InService", 1, str(bundle))
    assert asked.code == 1 and asked.err == ""
    lines = [line.removeprefix(str(tmp_path)).split() for line in asked.out.splitlines()]
    assert lines[0] == ["photo", "count", "confidence", "interval", "decision"]
    assert lines[1][:2] == ["/5.jpg", "5"] and lines[1][-1] == "accept"
    assert lines[2][:2] == ["/bad.jpg", "error:"] and lines[3][:2] == ["/1.jpg", "1"]
    assert as_json.code == 0 and as_json.json()[0]["count"] == 5
    assert again.code == 2 and again.err.count("\n") == 1 and "--update" in again.err
    assert f"listening on {address}" in shown.out and "InService" in shown.out
    assert deleted.code == 0 and list(home.iterdir()) == []


def test_a_port_in_use_is_one_line(say, home, bright_bundle):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        said = say("deploy", bright_bundle, "--name", "shelf", "--set", f"serve.port={port}")

    assert said.code == 2 and said.out == ""
    assert said.err == (
        f"error: cannot listen on 127.0.0.1:{port} (Address already in use);"
        " choose another port (0 for a free one) or host\n"
    )


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--name", "a_b"], "--name must be letters"),
        (["--name", "a", "--set", "train.epochs=1"], "takes serve.KEY"),
        (["--name", "a", "--set", "serve.processes=0"], "processes must be 1 or more"),
        (["--name", "a", "--update"], "there is no endpoint a"),
        ([], "missing option '--name'"),
    ],
)
def test_what_cannot_be_is_said_before_anything_is_started(say, home, bright_bundle, words, says):
    said = say("deploy", bright_bundle, *words)

    assert said.code == 2 and says in said.err and not home.exists()


def test_a_failed_endpoint_is_listed_with_the_reason(say, home):
    folder = EndpointFolder(home / "shelf")
    folder.path.mkdir(parents=True)
    facts = {"name": "shelf", "status": "InService", "address": "http://127.0.0.1:9", "pid": 7}
    row = facts | {"bundle": "ab", "model": "m", "created": 1.0, "workers": []}
    (folder.path / "endpoint.json").write_text(json.dumps(row))

    said = say("predict", "--endpoint", "shelf", "photo.jpg")

    assert said.code == 5 and "endpoint shelf is Failed; its process 7 is gone" in said.err
    assert say("endpoints", "--json").json()[0]["status"] == "Failed"
