from stocktake.cli import show
from stocktake.runs.folder import RunFolder


def test_long_values_are_counted(capsys):
    show.print_facts({"n": 3, "share": 0.123456, "by": {"1": 2}, "rows": [{"a": 1}]})

    lines = capsys.readouterr().out.splitlines()
    assert lines == ["n      3", "share  0.1235", "by     1: 2", "rows   1 entries"]


def test_numbers_stand_to_the_right(capsys):
    show.print_rows([{"photo": "a", "count": 3}, {"photo": "bbbbbb", "count": 10}])

    assert capsys.readouterr().out.splitlines() == [
        "photo   count",
        "a           3",
        "bbbbbb     10",
    ]


def test_on_a_pipe_each_stage_has_its_lines_and_warnings_show(tmp_path, capsys):
    run = RunFolder.begin(tmp_path / "split", about={"stage": "split"}, settings={})
    watch = show.ProgressWatch()
    watch("start", "split", run)
    run.warn("two photos are alike")
    watch("tick", "split", run)
    watch("done", "split", run)
    watch("skip", "train", run)

    err = capsys.readouterr().err
    assert "split     done in" in err and "warning: two photos are alike" in err
    assert "train     is done already" in err
