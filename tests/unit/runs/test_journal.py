import json

from stocktake.runs import journal


def test_a_line_cut_off_by_a_crash_is_left_out(tmp_path):
    path = tmp_path / "metrics.jsonl"
    journal.append(path, {"step": 1})
    with path.open("a") as file:
        file.write('{"step": 2, "na')

    assert list(journal.read_lines(path)) == [{"step": 1}]


def test_a_file_is_replaced_whole_and_leaves_nothing_behind(tmp_path):
    path = tmp_path / "run.json"
    journal.write_whole(path, "old")
    journal.write_whole(path, "new")

    assert path.read_text() == "new"
    assert [p.name for p in tmp_path.iterdir()] == ["run.json"]


def test_progress_knows_rate_and_time_left():
    state = journal.Progress(done=25, total=100, what="photos", started=0, now=5)

    assert state.per_s == 5
    assert state.left_s == 15


def test_progress_of_unknown_length_has_no_time_left():
    assert journal.Progress(done=5, total=None, what="x", started=0, now=5).left_s is None


def test_progress_is_written_seldom_but_the_last_always(tmp_path):
    path = tmp_path / "progress.json"
    file = journal.ProgressFile(path)
    for done in range(1, 101):
        file.update(done, 100, "photos")

    assert json.loads(path.read_text())["done"] == 100
    state = journal.read_progress(path)
    assert state is not None and state.left_s == 0
