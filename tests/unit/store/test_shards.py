import hashlib
import random
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pyarrow as pa
import pyarrow.dataset as ds
import pyarrow.parquet as pq
import pytest

from stocktake.errors import DataError
from stocktake.schema import photos as schema
from stocktake.store.shards import PhotoShards, ShardWriter, by_shard


def jpeg_of(number: int) -> bytes:
    rng = random.Random(number)
    return rng.randbytes(rng.randint(1, 3000))


def row(number: int) -> dict[str, object]:
    items = [{"asin": f"A{number}", "name": None, "quantity": 2, "height_in": 1.5}]
    return {
        "photo_id": f"{number:05d}",
        "jpeg": jpeg_of(number),
        "width_px": 4,
        "height_px": 3,
        "count": 2,
        "items": items,
        "source": f"bin-images/{number:05d}.jpg",
        "sha256": "0" * 64,
    }


def write(folder: Path, photos: int = 450, photos_per_shard: int = 200) -> PhotoShards:
    with ShardWriter(folder, photos_per_shard) as shards:
        for number in range(photos):
            shards.add(row(number))
    return PhotoShards.open(folder)


def test_photos_come_back_whole_in_any_order(tmp_path):
    shards = write(tmp_path / "photos")
    numbers = random.Random(3).sample(range(450), 450) + [7, 7]

    found = shards.jpegs([f"{number:05d}" for number in numbers])

    assert found == [jpeg_of(number) for number in numbers]
    assert len(shards) == 450


def test_rows_are_sorted_and_carry_everything_but_the_bytes(tmp_path):
    rows = write(tmp_path / "photos").rows()

    schema.check(rows)
    assert rows.column_names == [name for name in schema.SCHEMA.names if name != "jpeg"]
    assert rows["items"][3].as_py()[0]["asin"] == "A3"
    assert rows["items"][3].as_py()[0]["weight_lb"] is None


def test_rows_come_a_shard_at_a_time_too(tmp_path):
    shards = write(tmp_path / "photos")
    tables = list(by_shard(tmp_path / "photos", ("photo_id", "count")))

    assert [len(table) for table in tables] == [200, 200, 50]
    assert pa.concat_tables(tables) == shards.rows().select(["photo_id", "count"])


def test_rows_may_leave_out_more_or_nothing(tmp_path):
    shards = write(tmp_path / "photos", photos=5)

    assert "items" not in shards.rows(without=("jpeg", "items")).column_names
    assert shards.rows(without=())["jpeg"][4].as_py() == jpeg_of(4)


def test_shards_and_row_groups_have_the_size_asked_for(tmp_path):
    write(tmp_path / "photos")
    files = [pq.ParquetFile(path) for path in sorted((tmp_path / "photos").iterdir())]

    assert [file.metadata.num_rows for file in files] == [200, 200, 50]
    assert files[0].metadata.row_group(0).num_rows == 100
    assert files[0].metadata.row_group(0).column(1).compression == "UNCOMPRESSED"


def test_equal_photos_give_equal_bytes(tmp_path):
    for name in ("one", "two"):
        write(tmp_path / name)

    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_sizes_are_those_of_the_files(tmp_path):
    shards = write(tmp_path / "photos", photos=130)

    assert shards.sizes_bytes() == [len(jpeg_of(number)) for number in range(130)]


def test_one_pass_gives_every_photo_by_row_groups(tmp_path):
    shards = write(tmp_path / "photos")
    groups = [(ids, read()) for ids, read in shards.groups()]

    assert [len(ids) for ids, _ in groups] == [100, 100, 100, 100, 50]
    assert [photo_id for ids, _ in groups for photo_id in ids] == shards.photo_ids
    assert [jpeg for _, some in groups for jpeg in some] == [jpeg_of(i) for i in range(450)]


def test_a_damaged_group_does_not_cost_the_others_of_a_pass(tmp_path):
    shards = write(tmp_path / "photos", photos=250)
    path = tmp_path / "photos/part-00000.parquet"
    path.write_bytes(path.read_bytes().replace(jpeg_of(150), bytes(len(jpeg_of(150)))))
    sound = []
    for ids, read in PhotoShards.open(tmp_path / "photos").groups():
        try:
            sound += [len(ids), len(read())]
        except DataError as err:
            sound.append(str(err))

    assert sound[:2] == [100, 100] and "part-00000.parquet" in sound[2] and sound[3:] == [50, 50]
    assert len(shards) == 250


def test_no_row_group_stays_in_memory_after_its_photos_were_read(tmp_path):
    numbers = range(200)
    with ShardWriter(tmp_path / "photos", photos_per_shard=100) as writer:
        for number in numbers:
            writer.add({**row(number), "jpeg": bytes([number]) * 20_000})  # a group has 2 MB
    shards = PhotoShards.open(tmp_path / "photos")
    before = pa.total_allocated_bytes()
    for number in numbers:
        shards.jpegs([f"{number:05d}"])

    assert pa.total_allocated_bytes() - before < 1_000_000


def test_threads_may_read_together(tmp_path):
    shards = write(tmp_path / "photos")
    ids = shards.photo_ids

    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: shards.jpegs([ids[i]])[0], [*range(450)] * 2))

    assert found == [jpeg_of(number) for number in range(450)] * 2


def test_any_parquet_reader_can_read_them(tmp_path):
    write(tmp_path / "photos")

    assert pq.read_table(tmp_path / "photos")["jpeg"][449].as_py() == jpeg_of(449)


def test_a_dataset_of_them_can_be_filtered(tmp_path):
    write(tmp_path / "photos")
    photos = ds.dataset(tmp_path / "photos")

    few = photos.to_table(columns=["photo_id", "jpeg"], filter=ds.field("photo_id") < "00003")

    assert photos.schema.names == schema.SCHEMA.names
    assert few["jpeg"].to_pylist() == [jpeg_of(number) for number in range(3)]


def test_pandas_reads_them(tmp_path):
    pandas = pytest.importorskip("pandas")
    write(tmp_path / "photos")

    frame = pandas.read_parquet(tmp_path / "photos")

    assert list(frame.columns) == schema.SCHEMA.names
    assert frame.photo_id[7] == "00007"  # text, with its zeros
    assert frame.jpeg[449] == jpeg_of(449)
    assert frame["items"][3][0]["asin"] == "A3"


def test_duckdb_reads_them(tmp_path):
    duckdb = pytest.importorskip("duckdb")
    write(tmp_path / "photos")
    ask = f"select photo_id, jpeg, items[1].asin, source, sha256 from '{tmp_path}/photos/*.parquet'"

    found = duckdb.sql(f"{ask} order by photo_id").fetchall()

    assert len(found) == 450
    assert found[7] == ("00007", jpeg_of(7), "A7", "bin-images/00007.jpg", "0" * 64)


def test_photos_written_by_another_writer_are_read_too(tmp_path):
    rows = [row(number) for number in range(30)]
    table = pa.Table.from_pylist(rows, schema=schema.SCHEMA)
    table = table.replace_schema_metadata({"stocktake.format": schema.FORMAT})
    pq.write_table(table, tmp_path / "part-00000.parquet", compression="snappy")

    assert PhotoShards.open(tmp_path).jpegs(["00021"]) == [jpeg_of(21)]


def test_ids_must_rise_while_writing(tmp_path):
    with (
        pytest.raises(DataError, match="'00001' follows '00001'"),
        ShardWriter(tmp_path / "photos") as shards,
    ):
        shards.add(row(1))
        shards.add(row(1))


def test_a_failure_leaves_nothing_that_looks_finished(tmp_path):
    with pytest.raises(KeyboardInterrupt), ShardWriter(tmp_path / "photos", 100) as shards:
        for number in range(250):
            shards.add(row(number))
        raise KeyboardInterrupt

    assert list(tmp_path.iterdir()) == []


def test_with_on_shard_a_failure_leaves_what_is_whole(tmp_path):
    whole = []
    writer = ShardWriter(tmp_path / "photos", 100, on_shard=whole.append)
    with pytest.raises(KeyboardInterrupt), writer as shards:
        for number in range(250):
            shards.add(row(number))
        raise KeyboardInterrupt

    left = sorted(path.name for path in (tmp_path / ".photos.part").iterdir())
    assert left == ["part-00000.parquet", "part-00001.parquet"]
    assert [(one.photos, one.last_id) for one in whole] == [(100, "00099"), (100, "00199")]


def test_a_writer_goes_on_after_the_shards_that_were_kept(tmp_path):
    whole = []
    writer = ShardWriter(tmp_path / "photos", 100, on_shard=whole.append)
    with pytest.raises(KeyboardInterrupt), writer as shards:
        for number in range(250):
            shards.add(row(number))
        raise KeyboardInterrupt
    with ShardWriter(tmp_path / "photos", 100, kept=whole[:1], on_shard=whole.append) as shards:
        for number in range(100, 250):
            shards.add(row(number))
    write(tmp_path / "calm", 250, 100)

    names = [path.name for path in sorted((tmp_path / "calm").iterdir())]
    assert sorted(path.name for path in (tmp_path / "photos").iterdir()) == names
    for name in names:
        assert (tmp_path / "photos" / name).read_bytes() == (tmp_path / "calm" / name).read_bytes()


def test_a_shard_is_told_with_the_hash_of_its_file(tmp_path):
    whole = []
    with ShardWriter(tmp_path / "photos", 100, on_shard=whole.append) as shards:
        for number in range(250):
            shards.add(row(number))

    files = sorted((tmp_path / "photos").iterdir())
    assert [one.sha256 for one in whole] == [
        hashlib.sha256(path.read_bytes()).hexdigest() for path in files
    ]


@pytest.mark.parametrize("photos", [150, 450])
def test_what_goes_wrong_while_writing_is_raised(tmp_path, photos):
    with pytest.raises(pa.ArrowInvalid), ShardWriter(tmp_path / "photos") as shards:
        for number in range(photos):
            shards.add(row(number) | ({"count": "many"} if number == 20 else {}))

    assert list(tmp_path.iterdir()) == []


def test_what_is_not_kept_is_cleared_away(tmp_path):
    whole = []
    with ShardWriter(tmp_path / "photos", 100, on_shard=whole.append) as shards:
        for number in range(200):
            shards.add(row(number))
    (tmp_path / "photos").rename(tmp_path / ".photos.part")
    with ShardWriter(tmp_path / "photos", 100, kept=whole[:1], on_shard=whole.append):
        pass

    assert [path.name for path in (tmp_path / "photos").iterdir()] == ["part-00000.parquet"]


def test_ids_must_rise_after_the_shards_that_were_kept(tmp_path):
    whole = []
    with ShardWriter(tmp_path / "photos", 100, on_shard=whole.append) as shards:
        for number in range(100):
            shards.add(row(number))
    (tmp_path / "photos").rename(tmp_path / ".photos.part")

    with (
        pytest.raises(DataError, match="'00099' follows '00099'"),
        ShardWriter(tmp_path / "photos", 100, kept=whole) as shards,
    ):
        shards.add(row(99))


def test_what_a_killed_writer_left_is_cleared_away(tmp_path):
    killed = ShardWriter(tmp_path / "photos", 100).__enter__()
    for number in range(250):
        killed.add(row(number))

    assert not (tmp_path / "photos").exists()
    write(tmp_path / "photos", photos=3)
    assert [path.name for path in tmp_path.iterdir()] == ["photos"]


def test_an_older_folder_is_replaced_whole(tmp_path):
    write(tmp_path / "photos", photos=450)
    shards = write(tmp_path / "photos", photos=3)

    assert len(shards) == 3
    assert len(list((tmp_path / "photos").iterdir())) == 1


def test_an_unknown_id_is_told(tmp_path):
    with pytest.raises(DataError, match="no photo '1' among 3"):
        write(tmp_path / "photos", photos=3).jpegs(["1"])


def test_a_folder_without_shards_is_told(tmp_path):
    with pytest.raises(DataError, match=r"holds no part-\*\.parquet; `stocktake ingest` makes"):
        PhotoShards.open(tmp_path)


def test_shards_out_of_order_are_told(tmp_path):
    write(tmp_path / "photos")
    (tmp_path / "photos/part-00000.parquet").rename(tmp_path / "photos/part-00009.parquet")

    with pytest.raises(DataError, match="photo ids must rise"):
        PhotoShards.open(tmp_path / "photos")


def test_a_flipped_byte_is_found(tmp_path):
    write(tmp_path / "photos", photos=50)
    path = tmp_path / "photos" / "part-00000.parquet"
    damaged = bytearray(path.read_bytes())
    damaged[damaged.find(jpeg_of(25)[:50]) + 20] ^= 1
    path.write_bytes(damaged)

    with pytest.raises(DataError, match="cannot be read as Parquet"):
        PhotoShards.open(tmp_path / "photos").jpegs(["00025"])


def test_a_shard_cut_short_is_told(tmp_path):
    write(tmp_path / "photos", photos=50)
    path = tmp_path / "photos" / "part-00000.parquet"
    path.write_bytes(path.read_bytes()[:-200])

    with pytest.raises(DataError, match="cannot be read as Parquet"):
        PhotoShards.open(tmp_path / "photos")
