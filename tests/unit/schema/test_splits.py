import pyarrow as pa
import pytest

from stocktake.errors import DataError
from stocktake.schema import splits


def table(*rows: tuple[str, str, str]) -> pa.Table:
    made = [{"photo_id": i, "fold": fold, "group": group, "count": 1} for i, fold, group in rows]
    return pa.Table.from_pylist(made, schema=splits.SCHEMA)


def test_a_sound_split_passes():
    splits.check(table(("1", "train", "1"), ("2", "train", "1"), ("3", "test", "3")))


def test_a_group_in_two_folds_is_refused():
    torn = table(("1", "train", "1"), ("2", "test", "1"), ("3", "test", "3"))

    with pytest.raises(DataError, match="1 sibling groups in two folds, the first is '1'"):
        splits.check(torn)


def test_an_unknown_fold_is_refused():
    with pytest.raises(DataError, match="a fold 'valid', expected one of train, val"):
        splits.check(table(("1", "valid", "1")))


def test_a_photo_there_twice_is_refused():
    with pytest.raises(DataError, match="'1' follows '1'"):
        splits.check(table(("1", "train", "1"), ("1", "train", "1")))


def test_other_columns_are_refused():
    with pytest.raises(DataError, match="split has columns"):
        splits.check(table(("1", "train", "1")).drop_columns(["group"]))


def test_torn_groups_are_named_and_can_be_allowed():
    torn = table(("1", "train", "1"), ("2", "test", "1"), ("3", "test", "3"), ("4", "val", "3"))

    assert splits.torn(torn) == ("1", "3")
    splits.check(torn, whole=False)
