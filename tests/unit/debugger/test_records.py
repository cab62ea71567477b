import random

from stocktake.debugger.records import Record, Row, View


def row(step, value=0.0, **more):
    about = {"mode": "train", "name": "loss", "collection": "losses", "statistic": "value"}
    return Row(step=step, value=value, **(about | more))


def test_rows_that_come_in_any_order_are_told_by_rising_step():
    rows = [row(step, float(step)) for step in range(20)]
    random.Random(3).shuffle(rows)

    series = Record(rows).series("loss")

    assert series.steps == list(range(20))
    assert [one.value for one in series.rows] == [float(step) for step in range(20)]


def test_a_step_told_anew_replaces_what_was_told_before():
    record = Record([row(0, 1.0), row(1, 2.0)])
    record.extend([row(1, 3.0)])

    assert [one.value for one in record.series("loss").rows] == [1.0, 3.0]
    assert record.steps("train") == [0, 1]


def test_modes_and_workers_are_kept_apart():
    record = Record([row(0, 1.0), row(0, 2.0, mode="eval"), row(0, 3.0, worker=1)])

    assert record.series("loss").rows[0].value == 1.0
    assert record.series("loss", mode="eval").rows[0].value == 2.0
    assert record.series("loss", worker=1).rows[0].value == 3.0
    assert record.workers() == [0, 1]


def test_a_view_sees_nothing_after_its_step():
    record = Record([row(step, float(step), time=float(step)) for step in range(5)])
    record.extend([row(0, 9.0, mode="eval", time=1.5), row(1, 9.0, mode="eval", time=3.5)])
    view = View(record, "train", 2)

    assert [one.value for one in view.rows("loss")] == [0.0, 1.0, 2.0]
    assert view.value("loss") == 2.0
    assert [one.step for one in view.rows("loss", mode="eval")] == [0]


def test_a_value_is_of_exactly_the_step_asked_for():
    view = View(Record([row(0, 1.0), row(2, 2.0)]), "train", 1)

    assert view.value("loss") is None
    assert view.value("nobody") is None


def test_names_come_from_collections_and_expressions_each_once():
    record = Record(
        [
            row(0, name="1:out", collection="activations", kind="ReLU"),
            row(0, name="1:out", collection="mine"),
            row(0, name="fc.weight", collection="weights"),
        ]
    )
    view = View(record, "train", 0)

    assert view.names("activations", regex="out$|weight") == ["1:out", "fc.weight"]
    assert record.kind("1:out", "activations") == "ReLU"
    assert record.collections() == ["activations", "mine", "weights"]
