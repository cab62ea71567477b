"""What a rule sees of a record: rows up to a step, and nothing after."""

from math import inf, nan

import pytest
from recorded import SECONDS, scalars

from stocktake.debugger.records import Record, Row, Series, View


def series(*values: float) -> Series:
    made = Series()
    for row in scalars("loss", values):
        made.add(row)
    return made


def test_rows_end_at_the_step_and_can_be_counted_from_both_ends():
    rows = series(3.0, 2.0, 1.0, 0.0).upto(2)

    assert len(rows) == 3
    assert (rows[0].value, rows[-1].value) == (3.0, 1.0)
    assert [row.value for row in rows[-2:]] == [2.0, 1.0]
    assert [row.step for row in rows] == [0, 1, 2]
    for place in (3, -4):
        with pytest.raises(IndexError):
            rows[place]


def test_the_place_before_a_step_is_that_of_the_newest_row_not_after_it():
    made = Series()
    for row in scalars("loss", {0: 1, 4: 1, 9: 1}):
        made.add(row)
    rows = made.upto(4)

    assert [rows.place_before(step) for step in (-1, 0, 3, 4, 100)] == [-1, 0, 0, 1, 1]


def test_the_lowest_is_kept_and_told_anew_when_a_row_is_replaced():
    made = series(3.0, nan, 1.0, 2.0)

    assert [made.lowest(end) for end in range(5)] == [inf, 3.0, 3.0, 1.0, 1.0]
    made.add(
        Row(step=2, mode="train", name="loss", collection="losses", statistic="value", value=9)
    )
    assert [made.lowest(end) for end in range(5)] == [inf, 3.0, 3.0, 3.0, 2.0]


def test_a_view_sees_one_worker_and_of_other_modes_what_came_before():
    rows = scalars("loss", [1, 2, 3]) + scalars("loss", [4, 5], mode="eval", start=SECONDS + 1)
    other = Row(
        step=1, mode="train", name="loss", collection="losses", statistic="value", value=7, worker=1
    )
    record = Record([*rows, other])

    assert View(record, "train", 1).value("loss") == 2
    assert View(record, "train", 1, 1).value("loss") == 7
    assert [row.value for row in View(record, "train", 1).rows("loss", mode="eval")] == [4]
    assert [row.value for row in View(record, "eval", 1).rows("loss", mode="train")] == [1, 2, 3]


def test_a_view_notes_what_it_was_asked_for_and_had():
    view = View(Record(scalars("loss", [1])), "train", 0)
    view.value("loss")
    view.value("gradient")

    assert view.looked_at == {"loss"}


def test_steps_are_those_of_all_workers_or_one():
    rows = [
        Row(step=s, mode="train", name="x", collection="c", statistic="mean", worker=w, time=w + s)
        for w, s in ((0, 0), (1, 1), (0, 2))
    ]
    record = Record(rows)

    assert list(record.steps("train")) == [0, 1, 2]
    assert list(record.steps("train", 0)) == [0, 2]
    assert record.workers() == [0, 1]
    assert record.time_before("train", 2) == 2.0
    assert record.time_before("train", 0) == 0.0
