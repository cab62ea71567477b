import pytest

from stocktake.errors import SettingsError
from stocktake.tune import space as spaces
from stocktake.tune.space import Choice, Range


def read(table):
    return spaces.read(table, where="tune.space")


def test_each_way_to_write_a_dimension_is_read():
    found = read(
        {
            "train.optimizer.lr": {"low": 0.001, "high": 0.1, "scale": "log"},
            "train.epochs": {"low": 10, "high": 40},
            "train.head": {"choices": ["softmax", {"name": "corn"}]},
        }
    )

    assert found == {
        "train.optimizer.lr": Range(low=0.001, high=0.1, scale="log"),
        "train.epochs": Range(low=10, high=40),
        "train.head": Choice(choices=("softmax", {"name": "corn"})),
    }
    assert [d.is_whole for d in found.values() if isinstance(d, Range)] == [False, True]


def test_tables_in_tables_are_the_same_as_dotted_names():
    lr = {"low": 0.1, "high": 0.2}

    assert read({"train": {"optimizer": {"lr": lr}}}) == read({"train.optimizer.lr": lr})


def test_a_range_from_whole_to_broken_is_of_broken_numbers():
    assert not read({"train.clip_norm": {"low": 0, "high": 1.5}})["train.clip_norm"].is_whole


def test_the_reports_space_is_the_reports():
    assert spaces.plain(read("report")) == {
        "train.optimizer.lr": {"low": 0.001, "high": 0.1, "scale": "log"},
        "train.batch_size": {"low": 32, "high": 512, "scale": "log"},
        "train.epochs": {"low": 10, "high": 40, "scale": "linear"},
    }


REFUSED = [
    ("reprot", "no space 'reprot'; did you mean 'report'"),
    ({}, "is empty"),
    ({"a.b": 3}, "must be a table with low and high"),
    ({"a.b": {}}, "low must be a number, got None"),
    ({"a.b": {"lwo": 1, "high": 2}}, "'a.b' knows no 'lwo'; did you mean 'low'"),
    ({"a.b": {"low": 1}}, "high must be a number, got None"),
    ({"a.b": {"low": "1", "high": 2}}, "low must be a number, got '1'"),
    ({"a.b": {"low": True, "high": 2}}, "low must be a number, got True"),
    ({"a.b": {"low": 1, "high": float("inf")}}, "high must be finite"),
    ({"a.b": {"low": 2, "high": 1}}, "low must be below high, got 2 and 1"),
    ({"a.b": {"low": 2, "high": 2}}, "belongs in tune.fixed"),
    ({"a.b": {"low": 0, "high": 2, "scale": "log"}}, "low must be above 0 on a log scale"),
    ({"a.b": {"low": 1, "high": 2, "scale": "lgo"}}, "no scale 'lgo'; did you mean 'log'"),
    ({"a.b": {"low": 1, "high": 2, "choices": [1, 2]}}, "has choices and high; keep one"),
    ({"a.b": {"choices": [1]}}, "two or more, got"),
    ({"a.b": {"choices": "ab"}}, "must be a list of two or more, got 'ab'"),
    ({"a.b": {"choices": [1, 2, 1]}}, "1 is among the choices twice"),
    ({"a.b": {"choices": [{"name": "x"}, {"name": "x"}]}}, "is among the choices twice"),
    ({"a.b": {"choices": [1, object()]}}, "a choice must be"),
    ({"a.b": {"low": 1, "high": 2}, "a": {"b": {"low": 1, "high": 2}}}, "'a.b' is there twice"),
]


@pytest.mark.parametrize(("spec", "text"), REFUSED, ids=[text for _, text in REFUSED])
def test_a_space_that_cannot_be_is_refused_in_one_line(spec, text):
    with pytest.raises(SettingsError) as caught:
        spaces.read(spec, where="tune.space")

    assert text in str(caught.value)
    assert str(caught.value).startswith("tune.space")
    assert "\n" not in str(caught.value)
