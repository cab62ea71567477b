import json
import logging
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from stocktake.debugger.actions import (
    CallWebhook,
    Fired,
    Log,
    RunCommand,
    StopTraining,
    read_actions,
)
from stocktake.debugger.errors import RuleError
from stocktake.debugger.rules import Finding


@pytest.fixture
def fired() -> Fired:
    finding = Finding(
        step=3, mode="train", tensor="fc", message="too small", evidence={"abs_mean": 1e-9}
    )
    return Fired(rule="VanishingGradient", advice="Use ReLU.", finding=finding)


def test_stopping_is_a_flag_that_the_loop_reads(fired):
    stop = StopTraining()

    assert not stop.asked
    stop(fired)
    assert stop.asked
    assert stop.why == "VanishingGradient: too small"


def test_a_command_gets_the_finding_as_json(fired, tmp_path):
    kept = tmp_path / "finding.json"
    code = f"import sys, pathlib; pathlib.Path({str(kept)!r}).write_text(sys.stdin.read())"
    RunCommand([sys.executable, "-c", code])(fired)

    told = json.loads(kept.read_text())
    assert told["rule"] == "VanishingGradient"
    assert (told["step"], told["tensor"], told["evidence"]) == (3, "fc", {"abs_mean": 1e-9})


@pytest.mark.parametrize(
    ("words", "timeout_s", "told"),
    [
        (["no-such-command"], 60, "no-such-command cannot be run: No such file"),
        ([sys.executable, "-c", "raise SystemExit('oh')"], 60, "ended with 1: oh"),
        ([sys.executable, "-c", "input(); input()"], 60, "ended with 1: EOFError"),
        ([sys.executable, "-c", "import time; time.sleep(60)"], 0.2, "ran longer than 0.2 s"),
    ],
)
def test_a_command_that_fails_is_told_in_a_line(fired, words, timeout_s, told):
    with pytest.raises(RuleError, match=told) as caught:
        RunCommand(words, timeout_s)(fired)

    assert "\n" not in str(caught.value)


@pytest.fixture
def listener():
    """A server that keeps what is posted; /broken answers 500."""
    bodies = []

    class Keeper(BaseHTTPRequestHandler):
        def do_POST(self):
            bodies.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(500 if self.path == "/broken" else 204)
            self.end_headers()

        def log_message(self, *_):
            pass

    server = HTTPServer(("127.0.0.1", 0), Keeper)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}", bodies
    server.shutdown()
    server.server_close()
    thread.join()


def test_a_webhook_gets_the_finding_as_json(fired, listener):
    url, bodies = listener
    CallWebhook(url)(fired)

    assert bodies == [fired.as_json()]


def test_a_webhook_that_fails_is_told_in_a_line(fired, listener):
    url, _ = listener
    with pytest.raises(RuleError, match="answered 500"):
        CallWebhook(f"{url}/broken")(fired)
    with pytest.raises(RuleError, match="could not be reached"):
        CallWebhook("http://127.0.0.1:9")(fired)
    with pytest.raises(RuleError, match="begins with http"):
        CallWebhook("file:///etc/passwd")


def test_a_log_line_says_which_rule_and_where(fired, caplog):
    with caplog.at_level(logging.WARNING):
        Log()(fired)

    assert caplog.messages == ["VanishingGradient at train step 3: too small"]


def test_actions_are_read_from_sagemakers_json(fired):
    stop = StopTraining()
    text = '[{"name": "StopTraining", "training_job_prefix": "job"}, {"name": "log"}]'

    assert read_actions(text, stop=stop) == [stop, Log()]
    assert read_actions(text.replace('"', '\\"'), stop=stop) == [stop, Log()]
    assert read_actions('{"name": "webhook", "url": "http://x"}', stop=stop) == [
        CallWebhook("http://x")
    ]
    assert read_actions('{"name": "command", "words": ["ls"]}', stop=stop) == [RunCommand(["ls"])]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("stop", "actions must be JSON, got 'stop'"),
        ('{"name": "email", "endpoint": "a@b"}', "action email is not known here; use a webhook"),
        ('{"name": "dance"}', "one of stoptraining, command, webhook, log"),
        ('["log"]', "one of stoptraining, command, webhook, log"),
        ('{"name": "command", "words": "ls"}', "needs words, a list of texts"),
        ('{"name": "webhook"}', "begins with http"),
    ],
)
def test_actions_that_cannot_be_are_told_in_a_line(text, told):
    with pytest.raises(RuleError, match=told):
        read_actions(text, stop=StopTraining())
