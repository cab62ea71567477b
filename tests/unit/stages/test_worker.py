import fcntl
import json
import sys

import pytest

from stocktake.errors import DataError, RunError, SettingsError, StocktakeError
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.stages import table, worker

pytestmark = pytest.mark.usefixtures("probe_stage")


def job(tmp_path, **settings):
    return Job(stage="probe", settings=settings, inputs={}, output=str(tmp_path / "run" / "probe"))


def test_a_job_becomes_a_finished_run(tmp_path):
    run = worker.run_job(job(tmp_path, words=2))

    assert run.status == "done"
    assert run.result() == {"words": 2}
    assert run.settings() == {"words": 2, "how": "well", "share": 0.5}
    assert run.artifact("words.txt").read_text() == "word word "


def test_a_finished_run_that_still_holds_is_left_as_it_is(tmp_path):
    first = worker.run_job(job(tmp_path, words=2)).info()

    assert worker.run_job(job(tmp_path, words=2)).info() == first


def test_a_run_of_other_settings_is_moved_aside(tmp_path):
    worker.run_job(job(tmp_path, words=2))
    worker.run_job(job(tmp_path, words=3))
    worker.run_job(job(tmp_path, words=4))

    found = {p.name: RunFolder.open(p).result()["words"] for p in (tmp_path / "run").iterdir()}
    assert found == {"probe.1": 2, "probe.2": 3, "probe": 4}


def test_an_unfinished_run_is_taken_up_again(tmp_path):
    with pytest.raises(DataError):
        worker.run_job(job(tmp_path, how="badly"))
    with pytest.raises(DataError):
        worker.run_job(job(tmp_path, how="badly"))

    assert RunFolder.open(tmp_path / "run" / "probe").info()["attempts"] == 2


@pytest.mark.parametrize(
    ("how", "kind", "text"),
    [
        ("badly", DataError, "a word is missing"),
        ("wrongly", StocktakeError, "failed unexpectedly with KeyError: 'lost'"),
        ("full", StocktakeError, "words.txt: the disk is full"),
    ],
)
def test_a_failure_is_one_line_with_the_trace_in_the_log(tmp_path, how, kind, text):
    with pytest.raises(kind, match=text):
        worker.run_job(job(tmp_path, how=how))

    run = RunFolder.open(tmp_path / "run" / "probe")
    assert run.status == "failed"
    assert text in run.info()["error"]["message"]
    assert "Traceback" in json.dumps(list(run.lines()))


def test_a_stop_is_kept_as_stopped(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        worker.run_job(job(tmp_path, how="stopped"))

    assert RunFolder.open(tmp_path / "run" / "probe").status == "stopped"


def test_settings_are_refused_before_anything_is_written(tmp_path):
    with pytest.raises(SettingsError, match=r"probe\.share must be between 0 and 1, got 2"):
        worker.run_job(job(tmp_path, share=2))

    assert list(tmp_path.iterdir()) == []


def test_a_missing_input_names_the_command_that_makes_it(tmp_path):
    wants = Job(stage="split", settings={}, inputs={"photos": str(tmp_path / "x")}, output="o")

    with pytest.raises(RunError, match="split needs photos at .*`stocktake ingest` makes it"):
        worker.run_job(wants)


def test_an_input_of_another_stage_is_refused(tmp_path):
    run = worker.run_job(job(tmp_path))
    wants = Job(stage="split", settings={}, inputs={"photos": str(run.path)}, output="o")

    with pytest.raises(RunError, match="is a run of probe; split takes photos"):
        worker.run_job(wants)


def test_two_workers_never_write_one_folder(tmp_path):
    (tmp_path / "run").mkdir()
    with (tmp_path / "run" / ".probe.lock").open("w") as other:
        fcntl.flock(other, fcntl.LOCK_EX)

        with pytest.raises(RunError, match="being written by process"):
            worker.run_job(job(tmp_path))


def test_progress_reaches_a_listener(tmp_path):
    heard = []
    worker.run_job(job(tmp_path, words=2), listener=lambda *said: heard.append(said))

    assert heard == [(1, 2, "words"), (2, 2, "words")]


def test_a_plugin_that_cannot_be_imported_is_named(tmp_path):
    wants = Job(stage="probe", settings={}, inputs={}, output="o", plugins=("no_such_module",))

    with pytest.raises(SettingsError, match="plugins: 'no_such_module' cannot be imported"):
        worker.run_job(wants)


def test_a_library_that_is_missing_is_named_with_its_extra(tmp_path, monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "array_of_things", None)
    with pytest.raises(StocktakeError, match=r"array_of_things.*stocktake\[train\]"):
        worker.run_job(job(tmp_path, how="bare"))


def test_a_setting_of_pace_makes_no_run_again(tmp_path):
    def paint(**settings):
        wants = Job(stage="paint", settings=settings, inputs={}, output=str(tmp_path / "paint"))
        return worker.prepare(wants).fingerprint

    assert paint(photos=3, processes=1) == paint(photos=3, processes=2)
    assert paint(photos=3, processes=1) != paint(photos=4, processes=1)


def test_the_context_is_part_of_the_fingerprint(tmp_path):
    one = worker.prepare(job(tmp_path), context={"lr": 1}).fingerprint
    two = worker.prepare(job(tmp_path), context={"lr": 2}).fingerprint

    assert one != two


def test_what_a_stage_saw_outside_is_handed_to_it(tmp_path, monkeypatch):
    module, got, looks = sys.modules["stocktake.stages.probe"], [], []

    def outside(settings):
        looks.append(settings)
        return table.Seen(digest=str(settings.share), what=["a listing"])

    def probe(*, settings, run, seen):
        got.append(seen)
        return {"words": 1}

    monkeypatch.setattr(module, "outside", outside, raising=False)
    monkeypatch.setattr(module, "probe", probe)
    run = worker.run_job(job(tmp_path))

    assert got == [["a listing"]] and len(looks) == 1
    assert run.fingerprint != worker.prepare(job(tmp_path, share=0.25)).fingerprint
