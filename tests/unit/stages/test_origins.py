from pathlib import Path

import pytest

from stocktake.errors import RunError
from stocktake.runs.folder import RunFolder
from stocktake.stages import origins


def begun(path: Path, fingerprint: str, **inputs: RunFolder) -> RunFolder:
    known = {k: {"address": str(r.path), "fingerprint": r.fingerprint} for k, r in inputs.items()}
    about = {"stage": path.name, "fingerprint": fingerprint, "inputs": known}
    return RunFolder.begin(path, about=about, settings={})


@pytest.fixture
def split(tmp_path: Path) -> RunFolder:
    return begun(tmp_path / "split", "aa")


@pytest.fixture
def train(tmp_path: Path, split: RunFolder) -> RunFolder:
    return begun(tmp_path / "train", "bb", split=split)


def test_the_run_before_is_found(train, split):
    assert origins.needed(train, "split", otherwise="stop").path == split.path
    assert origins.input_of(train, "split").path == split.path
    assert origins.input_of(train, "photos") is None


def test_a_run_that_is_gone_is_named_with_what_to_do(train, split):
    split.path.rename(split.path.with_name("elsewhere"))

    with pytest.raises(RunError, match=r"split, where no run is now; .* bring .* or stop"):
        origins.needed(train, "split", otherwise="stop")


def test_a_run_that_was_made_anew_is_not_taken_for_the_same(train, split, tmp_path):
    begun(tmp_path / "split", "cc")

    with pytest.raises(RunError, match="was made anew since .*train had its split from it"):
        origins.needed(train, "split", otherwise="stop")


def test_a_run_made_from_something_else_is_refused(train):
    with pytest.raises(RunError, match="was not made from a run of photos"):
        origins.needed(train, "photos", otherwise="stop")
