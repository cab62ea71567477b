import pytest
from recorded import asked, scalars, told, whole

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import Record


def test_a_loss_that_differs_fires_where_it_differs():
    other = Record(scalars("loss", [1.0, 0.9, 0.8]))

    assert asked(scalars("loss", [1.0, 0.95, 0.8]), "SimilarAcrossRuns", other_trials=other) == [1]


def test_the_same_run_twice_is_similar():
    rows = scalars("loss", [1.0, float("nan")]) + whole("fc", {0: [1.0, 2.0]})

    assert asked(rows, "SimilarAcrossRuns", other_trials=[Record(rows), Record(rows)]) == []


def test_values_and_sizes_of_tensors_are_compared():
    other = Record(whole("fc", {0: [1.0, 2.0], 1: [1.0]}))
    found = told(
        whole("fc", {0: [1.0, 2.5], 1: [1.0, 2.0]}), "SimilarAcrossRuns", other_trials=other
    )

    assert found[0].evidence == {"here": 2.5, "there": 2.0}
    assert "size of fc is 2 here and 1" in found[1].message


def test_a_step_that_one_run_lacks_is_passed_over():
    other = Record(scalars("loss", {0: 1.0}))

    assert asked(scalars("loss", [1.0, 5.0]), "SimilarAcrossRuns", other_trials=other) == []


@pytest.mark.parametrize("given", [{}, {"other_trials": ["runs/a"]}])
def test_without_another_record_it_cannot_judge(given):
    with pytest.raises(RuleError, match="needs other_trials: the records"):
        asked(scalars("loss", [1.0]), "SimilarAcrossRuns", **given)
