import hashlib

import pyarrow as pa
import pytest

from stocktake.schema import photos as schema
from stocktake.store.kept import Spool, is_sound, note, spooled
from stocktake.store.shards import ShardWriter


def row(number: int) -> dict[str, object]:
    jpeg = f"photo {number}".encode() * 40
    return {
        "photo_id": f"{number:05d}",
        "jpeg": jpeg,
        "width_px": 4,
        "height_px": 3,
        "count": 2,
        "items": [],
        "source": f"bin-images/{number:05d}.jpg",
        "sha256": hashlib.sha256(jpeg).hexdigest(),
    }


def group(*numbers: int) -> pa.Table:
    return pa.Table.from_pylist([row(number) for number in numbers], schema=schema.SCHEMA)


@pytest.fixture
def shard(tmp_path):
    with ShardWriter(tmp_path / "photos") as shards:
        for number in range(30):
            shards.add(row(number))
    return tmp_path / "photos" / "part-00000.parquet"


def test_a_shard_as_noted_is_sound(shard):
    noted = note(shard, photos=30, last_id="00029")

    assert is_sound(shard.parent, noted)
    assert (noted.name, noted.size_bytes) == ("part-00000.parquet", shard.stat().st_size)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda path: path.unlink(),
        lambda path: path.write_bytes(path.read_bytes()[:-1]),
        lambda path: path.write_bytes(path.read_bytes().replace(b"photo 7", b"photo 8")),
    ],
)
def test_a_shard_that_is_not_as_noted_is_not_sound(shard, spoil):
    noted = note(shard, photos=30, last_id="00029")
    spoil(shard)

    assert not is_sound(shard.parent, noted)


def test_a_shard_of_other_rows_or_format_is_not_sound(shard):
    assert not is_sound(shard.parent, note(shard, photos=29, last_id="00029"))
    shard.write_bytes(b"no Parquet")
    assert not is_sound(shard.parent, note(shard, photos=30, last_id="00029"))


def test_a_spool_gives_its_rows_back_though_it_was_never_ended(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.write(group(1, 2))
    spool.write(group(5))

    found = list(spooled(tmp_path / "spool"))

    assert pa.Table.from_pylist(found, schema=schema.SCHEMA).equals(group(1, 2, 5))
    spool.drop()
    assert not (tmp_path / "spool").exists()


def test_a_cut_spool_gives_whole_groups_only(tmp_path):
    spool = Spool(tmp_path / "spool")
    spool.write(group(1, 2))
    spool.write(group(5))
    spool.close()
    (tmp_path / "spool").write_bytes((tmp_path / "spool").read_bytes()[:-50])

    assert [found["photo_id"] for found in spooled(tmp_path / "spool")] == ["00001", "00002"]


def test_a_spool_that_is_none_gives_nothing(tmp_path):
    (tmp_path / "spool").write_bytes(b"no stream")

    assert list(spooled(tmp_path / "spool")) == []
    assert list(spooled(tmp_path / "gone")) == []
