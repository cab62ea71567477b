"""What the container's entry point does, in a container's layout: no engine is needed for that."""

import http.client
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time

import pytest
from bright import grey, write_bundle

UNSHARE = ["unshare", "--user", "--map-root-user", "--mount"]
LAYOUT = """
set -e
mount -t tmpfs tmpfs /opt
mkdir -p /opt/ml/model
mount --bind "$BUNDLE" /opt/ml/model
mount -o remount,ro,bind /opt/ml/model
exec "$PYTHON" -m stocktake serve
"""


def can_unshare() -> bool:
    if shutil.which("unshare") is None:
        return False
    tried = subprocess.run([*UNSHARE, "sh", "-c", "mount -t tmpfs tmpfs /opt"], capture_output=True)
    return tried.returncode == 0


@pytest.fixture
def port():
    with socket.create_server(("127.0.0.1", 0)) as free:
        return free.getsockname()[1]


def ask(port: int, method: str, path: str, body: bytes | None = None) -> tuple[int, dict]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    try:
        connection.request(method, path, body, {"Content-Type": "image/jpeg"})
        reply = connection.getresponse()
        return reply.status, json.loads(reply.read())
    finally:
        connection.close()


def healthy(port: int, process: subprocess.Popen) -> dict:
    until = time.monotonic() + 60
    while time.monotonic() < until and process.poll() is None:
        try:
            status, said = ask(port, "GET", "/ping")
        except OSError:
            time.sleep(0.05)
            continue
        assert status == 200
        return said
    raise AssertionError("the server did not come up")


@pytest.mark.skipif(not can_unshare(), reason="this machine allows no mount namespaces")
def test_serve_alone_serves_what_lies_in_opt_ml_model(tmp_path, port):
    bundle = write_bundle(tmp_path / "bundle")
    environment = os.environ | {
        "BUNDLE": str(bundle),
        "PYTHON": sys.executable,
        "SAGEMAKER_BIND_TO_PORT": str(port),
    }
    environment.pop("SAGEMAKER_BASE_DIR", None)
    process = subprocess.Popen([*UNSHARE, "sh", "-c", LAYOUT], env=environment)
    try:
        assert healthy(port, process)["status"] == "ready"
        status, answer = ask(port, "POST", "/invocations", grey(3))
        assert status == 200 and answer["count"] == 3
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
    finally:
        process.kill()
        process.wait()
