import os
from pathlib import Path

import pytest

from stocktake.debugger.appending import Appender


def test_pieces_are_put_one_after_the_other(tmp_path):
    file = Appender(tmp_path / "deep" / "a.json")

    assert file.write(b"one\n") and file.write(b"two\n")
    file.close()
    assert file.path.read_bytes() == b"one\ntwo\n" and file.size_bytes == 8


def test_a_piece_that_fits_in_part_is_taken_back(tmp_path, monkeypatch):
    file = Appender(tmp_path / "a.json")
    file.write(b"one\n")
    whole = os.write
    monkeypatch.setattr(os, "write", lambda to, piece: whole(to, piece[:2]))

    assert not file.write(b"two\n") and file.lost == 1
    monkeypatch.undo()
    file.write(b"three\n")
    file.close()
    assert file.path.read_bytes() == b"one\nthree\n"


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device here")
def test_a_full_disk_is_counted_not_raised():
    file = Appender(Path("/dev/full"))

    assert not file.write(b"one\n") and file.lost == 1
    file.close()


def test_a_place_that_is_no_folder_is_counted_not_raised(tmp_path):
    (tmp_path / "taken").write_text("")
    file = Appender(tmp_path / "taken" / "a.json")

    assert not file.write(b"one\n") and file.lost == 1
