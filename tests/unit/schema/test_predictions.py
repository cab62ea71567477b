import dataclasses

import pytest

from stocktake.errors import DataError
from stocktake.schema import predictions
from stocktake.schema.predictions import Prediction

GOOD = Prediction(
    photo_id="00001",
    count=2,
    confidence=0.5,
    low=1,
    high=3,
    coverage=0.9,
    probabilities=[0.1, 0.2, 0.5, 0.2],
    decision="review",
    bundle="abc",
)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"low": 3}, "low <= count <= high"),
        ({"high": 4}, "low <= count <= high"),
        ({"low": -1}, "low <= count <= high"),
        ({"probabilities": [0.1, 0.1, 0.1, 0.1]}, "sum to 0.4"),
        ({"probabilities": [-0.5, 0.5, 0.5, 0.5]}, "probability of -0.5, below 0"),
        ({"probabilities": [float("nan")] * 4}, "sum to nan"),
        ({"coverage": 1.0}, "coverage"),
        ({"decision": "maybe"}, "decision 'maybe'"),
    ],
)
def test_a_prediction_that_breaks_its_invariants_is_refused(change, says):
    with pytest.raises(DataError, match=says):
        dataclasses.replace(GOOD, **change)


def test_every_photo_keeps_its_row_also_without_an_answer():
    rows = [
        predictions.row_of(GOOD, source="bin-images/00001.jpg"),
        predictions.failed_row(photo_id="2", source="2.jpg", bundle="abc", error="photo is empty"),
    ]

    table = predictions.table_of(rows, max_count=3)

    assert table["photo_id"].to_pylist() == ["00001", "2"]
    assert table["count"].to_pylist() == [2, None]
    assert table["error"].to_pylist() == [None, "photo is empty"]
    assert table["probabilities"].to_pylist()[0] == pytest.approx(GOOD.probabilities)


def test_a_table_without_rows_keeps_its_columns():
    table = predictions.table_of([], max_count=3)

    assert table.schema.equals(predictions.schema(3))


def test_the_same_source_twice_is_refused():
    row = predictions.row_of(GOOD, source="a.jpg")

    with pytest.raises(DataError, match="hold a.jpg twice"):
        predictions.table_of([row, row], max_count=3)


@pytest.mark.parametrize("change", [{"count": None}, {"error": "unreadable"}])
def test_a_row_with_both_or_neither_of_count_and_error_is_refused(change):
    row = predictions.row_of(GOOD, source="a.jpg") | change

    with pytest.raises(DataError, match="both or neither"):
        predictions.table_of([row], max_count=3)


def test_probabilities_of_another_length_are_refused():
    with pytest.raises(DataError, match="do not fit"):
        predictions.table_of([predictions.row_of(GOOD, source="a.jpg")], max_count=7)


def test_a_table_that_lacks_a_column_is_refused():
    table = predictions.table_of([], max_count=3).drop_columns(["bundle"])

    with pytest.raises(DataError, match="no column 'bundle'"):
        predictions.check_table(table)
