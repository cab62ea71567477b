import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import torch
from safetensors.torch import save

from stocktake.errors import SettingsError
from stocktake.vision.hub import fetch

COMMIT = "0123456789abcdef0123456789abcdef01234567"
WEIGHTS = save({"w": torch.arange(3.0)})


class Hub(BaseHTTPRequestHandler):
    """The few answers of a model hub that a download of one file needs."""

    files = {"/timm/tiny/resolve/main/model.safetensors": WEIGHTS}
    asked: list[str] = []

    def do_HEAD(self) -> None:
        self.answer(with_body=False)

    def do_GET(self) -> None:
        self.answer(with_body=True)

    def answer(self, *, with_body: bool) -> None:
        type(self).asked.append(self.path)
        body = self.files.get(self.path)
        self.send_response(404 if body is None else 200)
        self.send_header("X-Repo-Commit", COMMIT)
        if body is None:
            self.send_header("X-Error-Code", "EntryNotFound")
            self.send_header("Content-Length", "0")
        else:
            self.send_header("ETag", '"1234"')
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if with_body and body is not None:
            self.wfile.write(body)

    def log_message(self, *args: object) -> None:
        return


@pytest.fixture
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    Hub.asked = []
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def test_a_file_is_downloaded_once_and_then_kept(hub, tmp_path):
    first = fetch("timm/tiny", backbone="tiny", endpoint=hub, cache=tmp_path)
    asked = len(Hub.asked)
    second = fetch("timm/tiny", backbone="tiny", endpoint=hub, cache=tmp_path)

    assert first.read_bytes() == WEIGHTS
    assert second == first
    assert len(Hub.asked) == asked, "the second time the hub is not asked"


def test_a_repository_without_weights_is_refused(hub, tmp_path):
    with pytest.raises(SettingsError, match="timm/none has none of model.safetensors"):
        fetch("timm/none", backbone="tiny", endpoint=hub, cache=tmp_path)


def test_a_hub_that_cannot_be_reached_is_said_at_once(tmp_path, capfd):
    began = time.monotonic()

    with pytest.raises(SettingsError) as caught:
        fetch("timm/tiny", backbone="tiny", endpoint="http://127.0.0.1:9", cache=tmp_path)
    assert time.monotonic() - began < 5
    for choice in ("cannot be reached", 'weights = "none"', 'weights = "FILE"', "tiny"):
        assert choice in str(caught.value)
    assert capfd.readouterr().err == ""
