import hashlib
import json

import pytest

from stocktake.errors import RunError
from stocktake.runs.folder import RunFolder, Witness


def begun(path, **about):
    about = {"stage": "probe", "fingerprint": "f"} | about
    return RunFolder.begin(path / "probe", about=about, settings={"words": 3})


def test_a_finished_run_tells_what_it_made(tmp_path):
    run = begun(tmp_path)
    run.artifact("deep/words.txt").write_text("word")
    run.metric(1, loss=0.5, accuracy=0.25)
    run.close("done", result={"words": 1})

    again = RunFolder.open(run.path)
    assert again.result() == {"words": 1}
    assert again.settings() == {"words": 3}
    assert [(m["name"], m["value"]) for m in again.metrics()] == [("loss", 0.5), ("accuracy", 0.25)]
    manifest = json.loads((run.path / "result.json").read_text())["manifest"]
    assert manifest["artifacts/deep/words.txt"]["size_bytes"] == 4


def test_the_manifest_takes_the_hash_that_its_writer_said(tmp_path):
    run = begun(tmp_path)
    for name in ("one", "two"):
        run.artifact(name).write_text("word")
    run.hashed(run.artifact("one"), "0" * 64)
    run.close("done", result={})

    manifest = json.loads((run.path / "result.json").read_text())["manifest"]
    assert manifest["artifacts/one"] == {"size_bytes": 4, "sha256": "0" * 64}
    assert manifest["artifacts/two"]["sha256"] == hashlib.sha256(b"word").hexdigest()


def test_an_unfinished_run_is_no_input(tmp_path):
    run = begun(tmp_path)

    with pytest.raises(RunError, match="is running, not done"):
        run.result()


def test_a_failed_run_keeps_its_error(tmp_path):
    run = begun(tmp_path)
    run.close("failed", error={"kind": "DataError", "message": "m"})

    assert run.info()["error"] == {"kind": "DataError", "message": "m"}


def test_beginning_again_counts_attempts_and_forgets_the_old_result(tmp_path):
    begun(tmp_path).close("done", result={})
    run = begun(tmp_path)

    assert run.info()["attempts"] == 2
    assert not (run.path / "result.json").exists()


def test_a_folder_without_a_run_or_of_another_format_is_refused(tmp_path):
    with pytest.raises(RunError, match="not a run folder"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text('{"format": "run/99"}')
    with pytest.raises(RunError, match="run/99"):
        RunFolder.open(tmp_path)
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(RunError, match="cannot be read"):
        RunFolder.open(tmp_path)


def test_progress_ends_with_the_run(tmp_path):
    run = begun(tmp_path)
    run.progress(1, 2, "words")
    state = run.how_far()
    assert state is not None and state.done == 1
    run.close("done", result={})

    assert run.how_far() is None


def test_warnings_are_kept_in_order(tmp_path):
    run = begun(tmp_path)
    run.log("first", photos=3)
    run.warn("second")

    assert [(row["level"], row["message"]) for row in run.lines()] == [
        ("info", "first"),
        ("warning", "second"),
    ]


def test_runs_set_aside_are_numbered_and_the_last_one_is_the_one_before(tmp_path):
    run = RunFolder(tmp_path / "probe")
    assert run.before() is None
    for words in range(12):  # past 9, where names no longer sort as numbers do
        begun(tmp_path, words=words)
        run.set_aside()
    (tmp_path / "probe.old").mkdir()

    assert sorted(p.name for p in tmp_path.glob("probe.1?")) == ["probe.10", "probe.11", "probe.12"]
    before = run.before()
    assert before is not None and before.info()["words"] == 11


def test_a_witness_reads_the_run_and_writes_nothing(tmp_path):
    run = RunFolder.begin(tmp_path / "train", about={"stage": "train"}, settings={})
    run.metric(1, loss=0.5)
    files = {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()}
    witness = Witness(run.path)
    witness.metric(2, loss=0.4)
    witness.forget_metrics()
    witness.log("something")
    witness.warn("something else")
    witness.progress(1, 2, "steps")

    assert witness.artifact("made/not") == run.path / "artifacts" / "made" / "not"
    assert {p: p.read_bytes() for p in tmp_path.rglob("*") if p.is_file()} == files
    assert not (run.path / "artifacts" / "made").exists()
    assert witness.metrics() == run.metrics()
