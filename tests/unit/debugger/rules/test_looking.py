import numpy as np
import pytest
from recorded import scalars, whole

from stocktake.debugger.records import Record, Row, View
from stocktake.debugger.rules import looking


@pytest.mark.parametrize(
    ("given", "read"),
    [
        ("", []),
        ("weights, gradients", ["weights", "gradients"]),
        (["weights"], ["weights"]),
        ("a{1,2},b", ["a{1,2}", "b"]),
    ],
)
def test_a_list_may_come_as_one_text(given, read):
    assert looking.words(given) == read


def test_collections_and_expression_are_joined_and_stand_before_what_is_looked_at_else():
    rows = [*scalars("loss", [1]), *scalars("fc.weight", [1], collection="weights")]
    view = View(Record(rows), "train", 0)

    assert looking.tensors(view, "losses", "weight$") == ["loss", "fc.weight"]
    assert looking.tensors(view, "", "weight$", otherwise=("losses",)) == ["fc.weight"]
    assert looking.tensors(view, "", "", otherwise=("losses",)) == ["loss"]


def test_activations_are_chosen_by_kind_or_by_an_expression_that_tells_the_kind():
    rows = [
        *scalars("a:out", [1], collection="activations", kind="ReLU"),
        *scalars("b:out", [1], collection="activations", kind="Tanh"),
        *scalars("tanh_input", [1], collection="other"),
    ]
    view = View(Record(rows), "train", 0)

    assert list(looking.activations(view, "activations", "", ("ReLU",))) == [("a:out", "ReLU")]
    found = list(looking.activations(view, "activations", "tanh_input", ("Tanh", "Sigmoid")))
    assert found == [("tanh_input", "Tanh")]


def test_an_array_has_its_shape_or_is_flat_where_the_shape_is_another():
    (fits,) = whole("x", {0: np.zeros((2, 3))})
    torn = Row(
        step=0, mode="train", name="x", collection="c", statistic="s", values=(1.0,), shape=(4,)
    )

    assert looking.array(fits).shape == (2, 3)
    assert looking.array(torn).shape == (1,)


def test_units_lie_along_dimension_one():
    holds = np.zeros((2, 3, 4), bool)
    holds[:, 1] = True

    assert looking.per_unit(holds).tolist() == [0, 1, 0]
    assert looking.per_unit(np.array([True, False])).tolist() == [1, 0]


def test_a_finding_stands_where_the_view_stands():
    found = looking.found(View(Record(), "eval", 7, 2), "fc", "bad", mean=1.5)

    assert (found.step, found.mode, found.worker, found.tensor) == (7, "eval", 2, "fc")
    assert found.evidence == {"mean": 1.5}
