import io

import pytest
from PIL import Image

from stocktake.data import pictures
from stocktake.store.shards import PhotoShards, ShardWriter


def jpeg(size: tuple[int, int], shade: int = 90) -> bytes:
    made = io.BytesIO()
    Image.new("RGB", size, (shade,) * 3).save(made, "JPEG")
    return made.getvalue()


def size_of(picture: bytes) -> tuple[int, int]:
    return Image.open(io.BytesIO(picture)).size


@pytest.fixture
def shards(photo_row, tmp_path):
    """250 photos in three row groups; 00030 is cut short, the group of 00120 is damaged."""
    with ShardWriter(tmp_path / "photos") as writer:
        for i in range(250):
            photo = jpeg((400, 200), i % 250)
            writer.add(photo_row(f"{i:05d}", 1, {}) | {"jpeg": photo[:-2] if i == 30 else photo})
    path = tmp_path / "photos/part-00000.parquet"
    hit = jpeg((400, 200), 120)
    path.write_bytes(path.read_bytes().replace(hit, bytes(len(hit))))
    return PhotoShards.open(tmp_path / "photos")


def test_wanted_photos_are_written_where_and_as_large_as_asked_for(shards, tmp_path):
    wanted = {"00240": [("a", 100), ("b", 40)], "00007": [("a", 100)]}

    written = pictures.write(shards, wanted, lambda folder, name: tmp_path / f"{folder}-{name}")

    assert written == {"a": ["00007", "00240"], "b": ["00240"]}
    assert size_of((tmp_path / "a-00240.jpg").read_bytes()) == (100, 50)
    assert size_of((tmp_path / "b-00240.jpg").read_bytes()) == (40, 20)
    assert sorted(p.name for p in tmp_path.glob("*.jpg")) == [
        "a-00007.jpg",
        "a-00240.jpg",
        "b-00240.jpg",
    ]


def test_photos_that_cannot_be_had_cost_no_other(shards, tmp_path):
    wanted = {photo_id: [("", 50)] for photo_id in ("00029", "00030", "00120", "00130", "00210")}

    written = pictures.write(shards, wanted, lambda _, name: tmp_path / name)

    assert written == {"": ["00029", "00210"]}


def test_a_picture_is_never_larger_than_its_photo():
    made = pictures.small(jpeg((30, 20)), 160)

    assert made is not None and size_of(made) == (30, 20)
    assert pictures.small(b"no photo", 160) is None
