import hashlib
import os
from pathlib import Path

import pyarrow as pa
import pytest

from stocktake.store.hashed import HashedFile


def test_it_knows_the_hash_of_what_was_written(tmp_path):
    file = HashedFile(tmp_path / "file")
    parts = [os.urandom(size) for size in (0, 1, 70_000, 3_000_000)]
    for part in parts:
        assert file.write(part) == len(part)
    file.sync()

    whole = b"".join(parts)
    assert file.tell() == len(whole)
    assert file.sha256() == hashlib.sha256(whole).hexdigest()
    file.close()
    assert file.closed and file.path.read_bytes() == whole


def test_arrow_writes_into_it(tmp_path):
    file = HashedFile(tmp_path / "file")
    table = pa.table({"number": [1, 2]})
    with pa.ipc.new_stream(file, table.schema) as stream:
        stream.write_table(table)
    file.close()

    data = file.path.read_bytes()
    assert pa.ipc.open_stream(data).read_all() == table
    assert file.sha256() == hashlib.sha256(data).hexdigest()


def test_a_full_disk_is_told():
    with pytest.raises(OSError, match="No space left"):
        HashedFile(Path("/dev/full")).write(b"data")
