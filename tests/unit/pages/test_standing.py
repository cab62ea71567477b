import pytest

from stocktake.errors import DataError, RunError
from stocktake.pages.standing import ORDER, line, read_stages
from stocktake.runs.folder import RunFolder
from stocktake.stages import table


def begun(folder, name, *, fingerprint="", inputs=()):
    taken = {
        source: {"address": str(folder / source), "fingerprint": mark} for source, mark in inputs
    }
    about = {"stage": name, "fingerprint": fingerprint or name, "inputs": taken}
    return RunFolder.begin(folder / name, about=about, settings={})


def test_the_order_is_the_way_of_the_data():
    assert list(ORDER) == table.names()


def test_stages_come_in_the_order_of_the_way_whatever_their_state(tmp_path):
    begun(tmp_path, "train").close("stopped")
    begun(tmp_path, "ingest").close("done", result={})
    begun(tmp_path, "split").close("failed", error={"kind": "DataError", "message": "too few"})
    (tmp_path / "train.1").mkdir()
    found = read_stages(tmp_path)

    assert [(s.name, s.status, s.is_done) for s in found.values()] == [
        ("ingest", "done", True),
        ("split", "failed", False),
        ("train", "stopped", False),
    ]
    assert found["ingest"].trouble == "" and found["ingest"].seconds is not None
    assert found["split"].trouble == "too few"
    assert "run it again" in found["train"].trouble


def test_no_stage_at_all_is_an_error(tmp_path):
    with pytest.raises(RunError, match="no run of any stage"):
        read_stages(tmp_path / "nowhere")


def test_a_running_stage_says_how_far_it_was_seen(tmp_path):
    run = begun(tmp_path, "ingest")
    assert read_stages(tmp_path)["ingest"].trouble.startswith("not finished")

    run.progress(1500, 1500, "photos")
    assert "1,500 of 1,500 photos" in read_stages(tmp_path)["ingest"].trouble


def test_a_failure_without_a_word_says_so(tmp_path):
    begun(tmp_path, "ingest").close("failed")

    assert "without a word" in read_stages(tmp_path)["ingest"].trouble


@pytest.mark.parametrize("text", ["{", "[]", "{}", '{"status": "done", "started": "noon"}'])
def test_a_damaged_run_json_is_unreadable_and_hurts_no_other(tmp_path, text):
    begun(tmp_path, "ingest").close("done", result={})
    begun(tmp_path, "split")
    (tmp_path / "split/run.json").write_text(text)
    found = read_stages(tmp_path)

    assert found["ingest"].is_done
    assert found["split"].status == "unreadable" and found["split"].trouble
    assert "\n" not in found["split"].trouble


def test_warnings_are_of_the_last_attempt_each_once(tmp_path):
    run = begun(tmp_path, "train")
    run.warn("old")
    run.close("stopped")
    run = begun(tmp_path, "train")
    for text in ("new", "new", "other"):
        run.warn(text)
    run.log("no warning")

    assert read_stages(tmp_path)["train"].warnings == ("new", "other")


def test_a_damaged_log_is_a_warning_itself(tmp_path):
    run = begun(tmp_path, "train")
    run.close("done", result={})
    (run.path / "log.jsonl").write_text("no json\n")
    stage = read_stages(tmp_path)["train"]

    assert stage.is_done and "log.jsonl cannot be read" in stage.warnings[0]


def test_what_was_made_from_an_earlier_input_is_outdated_and_so_is_all_behind_it(tmp_path):
    begun(tmp_path, "train", fingerprint="new").close("done", result={})
    begun(tmp_path, "score", inputs=[("train", "old")]).close("done", result={})
    begun(tmp_path, "evaluate", inputs=[("score", "score")]).close("done", result={})
    begun(tmp_path, "explore").close("done", result={})
    found = read_stages(tmp_path)

    assert found["score"].outdated == ("train",) and found["evaluate"].outdated == ("train",)
    assert found["train"].outdated == found["explore"].outdated == ()


def test_an_input_that_failed_later_makes_its_users_outdated(tmp_path):
    begun(tmp_path, "train").close("failed")
    begun(tmp_path, "score", inputs=[("train", "train")]).close("done", result={})

    assert read_stages(tmp_path)["score"].outdated == ("train",)


def test_inputs_from_another_run_are_not_compared(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    begun(tmp_path / "here", "train").close("done", result={})
    run = begun(elsewhere, "score", inputs=[("train", "other")])
    run.close("done", result={})
    run.path.rename(tmp_path / "here" / "score")

    assert read_stages(tmp_path / "here")["score"].outdated == ()


def test_an_error_is_one_line_with_its_kind_unless_it_is_ours():
    assert line(KeyError("counts")) == "KeyError: 'counts'"
    assert line(DataError("two\n  lines")) == "two lines"
