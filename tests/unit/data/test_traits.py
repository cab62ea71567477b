import numpy as np
import pytest
from drawn import Drawn

from stocktake.data import looks
from stocktake.data.traits import of_photos
from stocktake.errors import DataError


class Shards(Drawn):
    """Drawn photos with their rows."""

    def __init__(self, table) -> None:
        super().__init__()
        self.table = table

    def rows(self):
        return self.table


@pytest.fixture
def shards_of(photo_row, table_of):
    return lambda *rows: Shards(table_of(*(photo_row(*row, **more) for *row, more in rows)))


def test_traits_stand_in_the_order_asked_for(shards_of):
    shards = shards_of(("1", 1, {"A": 1}, {}), ("2", 3, {"A": 1, "B": 2}, {}), ("30", 0, {}, {}))
    found = of_photos(shards, ["30", "1", "2"], workers=2)

    assert found.number.tolist() == [30, 1, 2]
    assert found.products.tolist() == [0, 1, 2]
    look = looks.look_at("2", Drawn().jpegs(["2"])[0], pixels=0, seed=0)
    assert (found.sharpness[2], found.luma[2]) == (look.sharpness, look.luma)


def test_only_the_photos_asked_for_are_looked_at(shards_of):
    shards = shards_of(*((str(i), 1, {"A": 1}, {}) for i in range(1, 6)))
    told = []
    of_photos(shards, ["4", "2"], workers=1, on_look=told.append)

    assert sorted(shards.asked) == ["2", "4"] and told == [1, 2]


@pytest.mark.parametrize(
    ("pieces", "volume"), [({"A": 2, "B": 2, "C": 1}, 12.0), ({"A": 1, "B": 5, "C": 1}, 3.0)]
)
def test_the_median_piece_counts_as_often_as_it_is_there(shards_of, pieces, volume):
    shards = shards_of(("1", sum(pieces.values()), pieces, {"height_in": 1.0, "length_in": 3.0}))
    widths = {"A": 9.0, "B": 1.0, "C": 4.0}
    shards.table = shards.table.set_column(
        shards.table.schema.get_field_index("items"), "items", _with_widths(shards.table, widths)
    )

    assert of_photos(shards, ["1"], workers=1).item_volume_in3.tolist() == [volume]


def _with_widths(table, widths):
    import pyarrow as pa

    field = table.schema.field("items")
    rows = [
        [item | {"width_in": widths[item["asin"]]} for item in row]
        for row in table["items"].to_pylist()
    ]
    return pa.array(rows, field.type)


def test_what_is_not_on_record_is_not_known(shards_of):
    shards = shards_of(("1", 2, {"A": 2}, {}), ("2", 4, {}, {}), ("3", 0, {}, {}))
    found = of_photos(shards, ["1", "2", "3"], workers=1)

    assert np.isnan(found.item_volume_in3).all()  # no height, no length
    assert found.products.tolist()[0] == 1 and np.isnan(found.products[1])
    assert found.products[2] == 0


def test_a_photo_that_cannot_be_decoded_costs_only_its_looks(shards_of):
    found = of_photos(shards_of(("bad", 1, {"A": 1}, {})), ["bad"], workers=1)

    assert np.isnan([found.luma[0], found.sharpness[0], found.number[0]]).all()
    assert found.products.tolist() == [1]


def test_a_photo_that_is_not_there_is_named(shards_of):
    with pytest.raises(DataError, match="1 of 2 scored photos are not among .* first is 7"):
        of_photos(shards_of(("1", 1, {"A": 1}, {})), ["1", "7"], workers=1)
