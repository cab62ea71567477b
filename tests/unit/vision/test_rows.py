import numpy as np
import pyarrow as pa
import pytest

from stocktake.errors import DataError
from stocktake.vision import rows

SPLIT = pa.table(
    {
        "photo_id": ["01", "02", "03", "1", "5"],
        "fold": ["train", "val", "train", "train", "test"],
        "group": ["01", "02", "03", "1", "5"],
        "count": pa.array([2, 0, 2, 7, 1], pa.int32()),
    }
)


def test_a_fold_keeps_ids_and_counts_together():
    train = rows.fold(SPLIT, "train")

    assert train.photo_ids == ["01", "03", "1"]
    assert train.counts.tolist() == [2, 2, 7]
    assert train.counts.dtype == np.int64
    assert train.tally() == {"2": 2, "7": 1}


def test_an_empty_fold_is_refused():
    with pytest.raises(DataError, match="no photo in the fold 'calib'"):
        rows.fold(SPLIT, "calib")


def test_counts_above_the_largest_are_left_out():
    kept = rows.within(rows.fold(SPLIT, "train"), 2)

    assert kept.photo_ids == ["01", "03"]


def test_one_photo_is_too_few_to_train_on():
    with pytest.raises(DataError, match="has 0 photos with a count of at most 1"):
        rows.within(rows.fold(SPLIT, "train"), 1)


def test_the_same_photos_pass_in_any_order():
    rows.check_same_photos(["5", "1", "03", "02", "01"], SPLIT)


@pytest.mark.parametrize(
    ("photo_ids", "said"),
    [
        (
            ["01", "02", "03", "1"],
            "split have 1 photo ids that the photos lack, the first is 5",
        ),
        (["01", "02", "03", "1", "5", "6"], "the photos have 1 photo ids that the split lack"),
        (["01", "02", "03", "1", "05"], "this split is of other photos"),
    ],
)
def test_a_split_of_other_photos_is_refused(photo_ids, said):
    with pytest.raises(DataError, match=said):
        rows.check_same_photos(photo_ids, SPLIT)


def test_tally_covers_every_fold():
    assert rows.tally_by_fold(SPLIT) == {
        "test": {"1": 1},
        "train": {"2": 2, "7": 1},
        "val": {"0": 1},
    }


def test_a_smaller_limit_takes_part_of_a_larger_one_with_siblings_in_a_row():
    ids = [f"{i:03}" for i in range(60)]
    groups = [f"{i // 3 * 3:03}" for i in range(60)]
    split = pa.table({"photo_id": ids, "group": groups})
    whole = rows.Fold(photo_ids=ids, counts=np.arange(60))

    less, more = rows.limited(whole, 12, split), rows.limited(whole, 30, split)

    assert len(less.photo_ids) == 12
    assert set(less.photo_ids) < set(more.photo_ids)
    assert less.photo_ids == sorted(less.photo_ids)
    assert less.photo_ids != ids[:12]
    assert less.counts.tolist() == [int(photo_id) for photo_id in less.photo_ids]
    assert len({int(photo_id) // 3 for photo_id in less.photo_ids}) == 4


@pytest.mark.parametrize("limit", [0, 3, 7])
def test_no_limit_takes_all(limit):
    train = rows.fold(SPLIT, "train")

    assert rows.limited(train, limit, SPLIT) is train
