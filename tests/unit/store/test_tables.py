import errno
import os

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stocktake.errors import DataError
from stocktake.store.tables import read_table, whole_file, write_table

TABLE = pa.table({"a": [1, 2], "b": ["x", "y"]})


def test_what_is_written_is_read(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, format="thing/1")

    assert read_table(tmp_path / "t.parquet", format="thing/1").equals(TABLE)
    assert read_table(tmp_path / "t.parquet", format="thing/1", columns=["b"]).to_pydict() == {
        "b": ["x", "y"]
    }


def test_the_same_table_gives_the_same_bytes(tmp_path):
    for name in ("one", "two"):
        write_table(tmp_path / name, TABLE, format="thing/1")

    assert (tmp_path / "one").read_bytes() == (tmp_path / "two").read_bytes()


def test_another_format_is_refused(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, format="thing/2")

    with pytest.raises(DataError, match="has format thing/2, expected thing/1"):
        read_table(tmp_path / "t.parquet", format="thing/1")


def test_a_parquet_file_of_somebody_else_is_refused(tmp_path):
    pq.write_table(TABLE, tmp_path / "t.parquet")

    with pytest.raises(DataError, match="has format none"):
        read_table(tmp_path / "t.parquet", format="thing/1")


def test_a_missing_file_is_told(tmp_path):
    with pytest.raises(DataError, match=r"t\.parquet is not there, a table of format thing/1"):
        read_table(tmp_path / "t.parquet", format="thing/1")


@pytest.mark.parametrize("text", [b"", b"PAR1 no parquet PAR1", b"\0" * 100])
def test_a_damaged_file_is_told(tmp_path, text):
    (tmp_path / "t.parquet").write_bytes(text)

    with pytest.raises(DataError, match="cannot be read as Parquet"):
        read_table(tmp_path / "t.parquet", format="thing/1")


def test_a_missing_column_is_told(tmp_path):
    write_table(tmp_path / "t.parquet", TABLE, format="thing/1")

    with pytest.raises(DataError, match="has no column 'c', only a, b"):
        read_table(tmp_path / "t.parquet", format="thing/1", columns=["c"])


def test_a_full_disk_leaves_the_old_file_and_no_other(tmp_path):
    (tmp_path / "t").write_text("old")

    with pytest.raises(OSError, match="No space left"), whole_file(tmp_path / "t") as file:
        file.write(b"half")
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    assert [p.name for p in tmp_path.iterdir()] == ["t"]
    assert (tmp_path / "t").read_text() == "old"
