import pyarrow as pa
import pytest

from stocktake.errors import DataError
from stocktake.schema import photos


def table(*photo_ids: str, count: int = 1) -> pa.Table:
    row = {
        "jpeg": b"x",
        "width_px": 1,
        "height_px": 1,
        "count": count,
        "items": [],
        "source": "k",
        "sha256": "s",
    }
    return pa.Table.from_pylist([{"photo_id": i, **row} for i in photo_ids], schema=photos.SCHEMA)


def test_sound_photos_pass_with_and_without_their_bytes():
    photos.check(table("01044", "1044"))
    photos.check(table("00001", "00002").drop_columns(["jpeg"]))
    photos.check(table())


def test_padded_and_unpadded_ids_are_two_photos():
    photos.check_order(table("01044", "1044")["photo_id"])


@pytest.mark.parametrize("ids", [("00002", "00001"), ("00001", "00001")])
def test_ids_must_rise(ids):
    with pytest.raises(DataError, match=f"'{ids[1]}' follows '{ids[0]}'"):
        photos.check(table(*ids))


def test_a_negative_count_is_refused():
    with pytest.raises(DataError, match="count of -1"):
        photos.check(table("00001", count=-1))


def test_a_column_of_another_type_is_refused():
    numbers = table("1").set_column(0, "photo_id", pa.array([1]))

    with pytest.raises(DataError, match="photo_id of int64"):
        photos.check(numbers)


def test_a_missing_value_is_refused():
    empty = table("1").set_column(6, "source", pa.array([None], pa.string()))

    with pytest.raises(DataError, match="empty values in 'source'"):
        photos.check(empty)


def test_a_table_without_ids_is_refused():
    with pytest.raises(DataError, match="no column 'photo_id'"):
        photos.check(table("1").drop_columns(["photo_id"]))
