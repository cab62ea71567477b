import numpy as np

from stocktake.schema import heatmaps
from stocktake.store.tables import read_table, write_table


def test_heat_maps_come_back_by_photo(tmp_path):
    maps = np.linspace(0, 1, 12, dtype=np.float32).reshape(2, 2, 3)
    table = heatmaps.table_of(["b", "a"], np.array([3, 1]), maps)
    write_table(tmp_path / "heat.parquet", table, format=heatmaps.FORMAT)
    again = read_table(tmp_path / "heat.parquet", format=heatmaps.FORMAT)

    found = heatmaps.by_photo(again)
    assert again["count"].to_pylist() == [3, 1]
    assert np.array_equal(found["b"], np.round(maps[0] * 255))
    assert found["a"].max() == 255 and found["a"].shape == (2, 3)
