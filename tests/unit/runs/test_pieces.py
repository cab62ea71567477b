import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from stocktake.errors import DataError
from stocktake.runs.pieces import Pieces
from stocktake.store.shards import part_of
from stocktake.store.tables import read_table


def opened(folder: Path, *, of: str = "these photos") -> Pieces:
    return Pieces(folder / "all.parquet", folder / "journal", format="numbers/1", of=of)


def numbers(*found: int) -> pa.Table:
    return pa.table({"number": pa.array(found, type=pa.int32())})


def fill(pieces: Pieces, start: int, stop: int) -> None:
    for first in range(start, stop, 2):
        pieces.add(numbers(first, first + 1), last_id=str(first + 1))


def table_in(folder: Path) -> list[int]:
    return read_table(folder / "all.parquet", format="numbers/1")["number"].to_pylist()


def test_pieces_are_joined_in_their_order_and_gone(tmp_path):
    pieces = opened(tmp_path)
    fill(pieces, 0, 300)
    whole = pieces.join()

    assert table_in(tmp_path) == list(range(300))
    assert (whole.photos, whole.last_id) == (300, "299")
    assert {path.name for path in tmp_path.iterdir()} == {"all.parquet", "journal"}
    assert pq.ParquetFile(tmp_path / "all.parquet").num_row_groups == 3


def test_the_next_attempt_goes_on_and_ends_with_the_very_bytes(tmp_path):
    for name in ("calm", "cut"):
        (tmp_path / name).mkdir()
    fill(calm := opened(tmp_path / "calm"), 0, 20)
    fill(opened(tmp_path / "cut"), 0, 12)
    again = opened(tmp_path / "cut")
    kept = again.rows
    fill(again, kept, 20)

    assert kept == 12
    assert again.join() == calm.join()


@pytest.mark.parametrize("harm", ["flip", "cut", "gone"])
def test_a_piece_that_is_not_as_it_was_noted_goes_with_all_after_it(tmp_path, harm):
    fill(opened(tmp_path), 0, 10)
    path = part_of(tmp_path / "all.parquet") / "part-00002.parquet"
    data = path.read_bytes()
    if harm == "gone":
        path.unlink()
    else:
        path.write_bytes(data[:-9] if harm == "cut" else data[:20] + b"!" + data[21:])
    again = opened(tmp_path)

    assert again.rows == 4
    assert {p.name for p in path.parent.iterdir()} == {"part-00000.parquet", "part-00001.parquet"}
    fill(again, 4, 10)
    again.join()
    assert table_in(tmp_path) == list(range(10))


def test_a_piece_that_was_never_noted_and_a_join_cut_short_are_cleared_away(tmp_path):
    fill(opened(tmp_path), 0, 4)
    folder = part_of(tmp_path / "all.parquet")
    (folder / "part-00002.parquet").write_bytes((folder / "part-00001.parquet").read_bytes())
    (folder / ".growing").write_bytes(b"half")
    again = opened(tmp_path)

    assert again.rows == 4 and len(list(folder.iterdir())) == 2


def test_rows_made_from_something_else_are_thrown_away(tmp_path):
    fill(opened(tmp_path), 0, 4)
    other = opened(tmp_path, of="other photos")

    assert other.rows == 0
    assert not list(part_of(tmp_path / "all.parquet").iterdir())
    assert opened(tmp_path).rows == 0


@pytest.mark.parametrize("text", ["", "no json\n", '{"format": "pieces/0"}\n', "[]\n"])
def test_a_journal_that_is_none_begins_anew(tmp_path, text):
    (tmp_path / "journal").write_text(text)

    assert opened(tmp_path).rows == 0
    assert json.loads((tmp_path / "journal").read_text())["format"] == "pieces/1"


def test_an_attempt_killed_after_the_join_needs_nothing_more(tmp_path):
    fill(pieces := opened(tmp_path), 0, 6)
    whole = pieces.join()
    again = opened(tmp_path)

    assert again.joined == whole and again.rows == 6
    assert again.join() == whole


def test_a_joined_table_that_was_changed_is_made_again(tmp_path):
    fill(pieces := opened(tmp_path), 0, 6)
    pieces.join()
    (tmp_path / "all.parquet").write_bytes(b"PAR1")

    assert opened(tmp_path).rows == 0


def test_a_piece_damaged_before_the_join_is_one_line_and_leaves_no_table(tmp_path):
    fill(pieces := opened(tmp_path), 0, 6)
    (part_of(tmp_path / "all.parquet") / "part-00001.parquet").write_bytes(b"PAR1")

    with pytest.raises(DataError) as caught:
        pieces.join()

    assert "part-00001.parquet" in str(caught.value) and "\n" not in str(caught.value)
    assert not (tmp_path / "all.parquet").exists()
