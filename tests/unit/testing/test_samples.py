import io

import numpy as np
from PIL import Image

from stocktake.schema import splits
from stocktake.store.shards import PhotoShards
from stocktake.store.tables import read_table
from stocktake.testing import samples


def test_a_photo_shows_as_many_squares_as_its_count():
    areas = []
    for count in range(5):
        pixels = np.asarray(Image.open(io.BytesIO(samples.squares(count, seed=3))))
        areas.append((pixels.min(axis=2) > 160).sum() / 144)

    assert np.allclose(areas, range(5), atol=0.35)


def test_photos_and_split_are_of_the_same_photos(tmp_path):
    photos = samples.photos_run(tmp_path / "ingest", photos=40)
    split = samples.split_run(tmp_path / "split", photos=40)
    shards = PhotoShards.open(photos.artifact("photos"))
    table = read_table(split.artifact("split.parquet"), format=splits.FORMAT)
    splits.check(table)

    assert table["photo_id"].to_pylist() == shards.photo_ids
    assert table["count"].to_pylist() == shards.rows()["count"].to_pylist()
    assert set(table["fold"].to_pylist()) == set(splits.FOLDS)
    assert photos.status == split.status == "done"
