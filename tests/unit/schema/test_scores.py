import numpy as np
import pyarrow as pa
import pytest

from stocktake.errors import DataError
from stocktake.schema import scores


def rows(counts: list[int], folds: list[str] | None = None) -> pa.Table:
    ids = [f"{i:05d}" for i in range(len(counts))]
    return pa.table(
        {
            "photo_id": ids,
            "fold": folds or ["test"] * len(counts),
            "group": ids,
            "count": pa.array(counts, pa.int64()),
            "further": ids,
        }
    )


def log_probs(photos: int, max_count: int = 3, seed: int = 0) -> np.ndarray:
    raw = np.random.default_rng(seed).normal(size=(photos, max_count + 1))
    return (raw - np.log(np.exp(raw).sum(axis=1, keepdims=True))).astype(np.float32)


def test_a_table_keeps_rows_and_distributions_together():
    given = log_probs(4)
    table = scores.table_of(rows([0, 3, 1, 2]), given)

    assert table.schema.equals(scores.schema(3))
    assert np.array_equal(scores.matrix(table), given)
    assert scores.counts(table).tolist() == [0, 3, 1, 2]
    assert scores.max_count(table) == 3


def test_a_count_above_max_count_stays():
    table = scores.table_of(rows([9, 1]), log_probs(2))

    assert scores.counts(table).tolist() == [9, 1]


def test_folds_are_picked_with_their_distributions():
    given = log_probs(3)
    table = scores.table_of(rows([1, 2, 3], ["val", "test", "val"]), given)
    picked = scores.of_folds(table, ["val"])

    assert picked["photo_id"].to_pylist() == ["00000", "00002"]
    assert np.array_equal(scores.matrix(picked), given[[0, 2]])


def test_an_empty_table_is_fine():
    table = scores.table_of(rows([]).cast(rows([1]).schema), np.empty((0, 4), np.float32))

    assert scores.matrix(table).shape == (0, 4)


def test_a_slice_gives_its_own_rows():
    given = log_probs(5)
    table = scores.table_of(rows([1] * 5), given)

    assert np.array_equal(scores.matrix(table.slice(2, 2)), given[2:4])


def test_lengths_must_agree():
    with pytest.raises(DataError, match="2 photos but log_probs of shape"):
        scores.table_of(rows([1, 2]), log_probs(3))


@pytest.mark.parametrize("value", [0.0, np.nan, np.inf])
def test_rows_that_are_no_distribution_are_refused(value):
    broken = log_probs(3)
    broken[1, 2] = value

    with pytest.raises(DataError, match="photo 00001 sum to"):
        scores.table_of(rows([1, 2, 3]), broken)


def test_minus_infinity_is_a_probability_of_zero():
    sure = np.full((1, 4), -np.inf, np.float32)
    sure[0, 2] = 0

    assert len(scores.table_of(rows([2]), sure)) == 1


def test_negative_counts_are_refused():
    with pytest.raises(DataError, match="negative"):
        scores.table_of(rows([-1, 2]), log_probs(2))


def test_a_photo_twice_is_refused():
    twice = pa.concat_tables([rows([1]), rows([1])])

    with pytest.raises(DataError, match="photo 00000 twice"):
        scores.table_of(twice, log_probs(2))


@pytest.mark.parametrize("name", ["photo_id", "fold", "group", "count", "log_probs"])
def test_a_missing_column_is_named(name):
    table = scores.table_of(rows([1]), log_probs(1))

    with pytest.raises(DataError, match=f"no column '{name}'"):
        scores.check(table.drop_columns([name]))


def test_log_probs_of_another_type_are_refused():
    table = scores.table_of(rows([1]), log_probs(1))
    loose = table.set_column(4, "log_probs", table["log_probs"].cast(pa.list_(pa.float32())))

    with pytest.raises(DataError, match="fixed list"):
        scores.check(loose)


def test_answers_worth_a_look_are_sorted_by_how_much():
    shares = np.array(
        [
            [0.9, 0.1, 0.0, 0.0],  # right, sure
            [0.1, 0.8, 0.1, 0.0],  # wrong by one, sure
            [0.6, 0.2, 0.1, 0.1],  # wrong by three
            [0.3, 0.4, 0.2, 0.1],  # right, unsure
        ]
    )
    counts = np.array([0, 0, 3, 1])
    with np.errstate(divide="ignore"):
        found = scores.worth_a_look(np.log(shares), counts, 2)

    assert found == {"wrong": [1, 2], "far": [2], "unsure": [3, 2], "right": [0, 3]}
