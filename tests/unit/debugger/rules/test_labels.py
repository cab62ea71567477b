import numpy as np
import pytest
from recorded import asked, told, whole

from stocktake.debugger.errors import RuleError


def labelled(true: object, said: object, step: int = 3, names: tuple = ("labels", "predictions")):
    return whole(names[0], {step: true}, collection="labels") + whole(
        names[1], {step: said}, collection="predictions"
    )


def test_a_class_a_hundred_times_as_frequent_fires_as_in_2019():
    labels = [0] * 990 + [1] * 10

    assert asked(labelled(labels, labels), "ClassImbalance") == [3]


def test_classes_of_about_one_size_are_healthy():
    labels = [0] * 500 + [1] * 50

    assert asked(labelled(labels, labels), "ClassImbalance") == []


def test_fewer_labels_than_asked_for_are_not_judged():
    labels = [0] * 480 + [1] * 19

    assert asked(labelled(labels, labels), "ClassImbalance") == []
    assert asked(labelled(labels, labels), "ClassImbalance", samples=499) == [3]


def test_labels_of_several_steps_are_put_together_and_old_ones_forgotten():
    even, odd = [0, 1] * 100, [0] * 200
    rows = [
        row
        for step, labels in enumerate([odd, even, even, even, odd, odd, odd])
        for row in labelled(labels, labels, step)
    ]

    assert asked(rows, "ClassImbalance", threshold_imbalance=3) == [5]


def test_a_class_mostly_mispredicted_fires():
    labels = np.array([0, 1] * 300)
    found = told(labelled(labels, np.zeros(600)), "ClassImbalance")

    assert [one.evidence for one in found] == [{"misprediction": 1.0, "category": 1.0}]
    assert asked(labelled(labels, np.zeros(600)), "ClassImbalance", start_step=4) == []


@pytest.mark.parametrize("argmax", [True, False])
def test_predictions_may_be_scores(argmax):
    labels = np.array([0, 1] * 300)
    scores = np.eye(2)[labels]

    assert asked(labelled(labels, scores), "ClassImbalance", argmax=argmax) == []
    assert asked(labelled(labels, 1 - scores), "ClassImbalance", argmax=argmax) == [3]


def test_labels_are_found_by_their_names():
    labels = [0] * 990 + [1] * 10
    rows = whole("truth", {0: labels}, collection="scalars")

    assert asked(rows, "ClassImbalance") == []
    assert asked(rows, "ClassImbalance", labels_regex="truth") == [0]


def test_ten_classes_all_right_are_not_confused_as_in_2019():
    labels = np.random.default_rng(0).integers(0, 10, 100)

    assert asked(labelled(labels, labels), "Confusion") == []


@pytest.mark.parametrize("more", [{}, {"min_diag": 0, "max_off_diag": 0.01}])
def test_one_class_taken_for_another_is_confusion_as_in_2019(more):
    labels = np.arange(10)
    said = np.where(labels == 4, 7, labels)
    found = told(labelled(labels, said), "Confusion", category_no=10, **more)

    assert found
    assert {one.evidence["category"] for one in found} == {4.0}


def test_confusion_says_what_was_taken_for_what():
    labels = np.repeat([0, 1], 50)
    said = np.where(np.arange(100) < 10, 1, labels)
    found = told(labelled(labels, said), "Confusion", min_diag=0)

    assert [(one.evidence["category"], one.evidence["predicted"]) for one in found] == [(0, 1)]
    assert "16.67 % of what was predicted as class 1 were of class 0" in found[0].message


def test_confusion_reads_the_tensors_it_is_told():
    labels = np.arange(4)
    rows = labelled(labels, labels[::-1], names=("truth", "guess"))

    assert asked(rows, "Confusion", labels="truth", predictions="guess") == [3]
    assert asked(rows, "Confusion", start_step=4) == []


def test_one_score_a_label_is_rounded():
    labels = np.array([0, 1] * 300)

    assert asked(labelled(labels, labels * 0.9), "Confusion") == []


def test_thousands_of_classes_are_no_table():
    with pytest.raises(RuleError, match="can compare 4096 classes, not 50001"):
        asked(labelled([50_000], [1]), "Confusion")


def test_labels_without_predictions_are_not_confused():
    assert asked(whole("labels", {0: [1, 2]}, collection="labels"), "Confusion") == []
