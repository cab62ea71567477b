import os

import pytest

from stocktake.errors import DataError
from stocktake.store.local import LocalStore
from stocktake.store.objects import Missing, Refused


def keys(store: LocalStore, prefix: str = "") -> list[str]:
    return sorted(entry.key for entry in store.list(prefix))


def test_files_below_a_folder_are_listed_with_their_sizes(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "b" / "x.jpg").write_bytes(b"123")
    (tmp_path / "y").write_bytes(b"")
    store = LocalStore(tmp_path)

    assert keys(store) == ["a/b/x.jpg", "y"]
    assert keys(store, "a") == ["a/b/x.jpg"]
    assert next(store.list("a")).size_bytes == 3


def test_no_such_prefix_is_an_empty_listing(tmp_path):
    assert keys(LocalStore(tmp_path), "bin-images") == []


def test_dot_files_are_no_objects(tmp_path):
    (tmp_path / ".DS_Store").write_bytes(b"x")

    assert keys(LocalStore(tmp_path)) == []


def test_a_file_written_anew_has_another_version(tmp_path):
    (tmp_path / "x").write_bytes(b"1")
    before = next(LocalStore(tmp_path).list()).version
    os.utime(tmp_path / "x", (1, 1))

    assert next(LocalStore(tmp_path).list()).version != before


def test_reading_what_is_not_there_is_missing(tmp_path):
    (tmp_path / "file").write_bytes(b"")
    for key in ("x", "no/x", "file/x"):
        with pytest.raises(Missing, match=f"{key} is not there"):
            LocalStore(tmp_path).read(key)


def test_reading_a_folder_is_refused(tmp_path):
    (tmp_path / "a.jpg").mkdir()

    with pytest.raises(Refused, match=r"a\.jpg cannot be read"):
        LocalStore(tmp_path).read("a.jpg")


def test_reading_outside_is_refused(tmp_path):
    (tmp_path / "in").mkdir()
    (tmp_path / "secret").write_bytes(b"s")

    with pytest.raises(Refused):
        LocalStore(tmp_path / "in").read("../secret")


def test_exists_means_a_file(tmp_path):
    (tmp_path / "x").write_bytes(b"")
    (tmp_path / "d").mkdir()

    assert [LocalStore(tmp_path).exists(key) for key in ("x", "d", "z")] == [True, False, False]


def test_a_dangling_link_is_listed_and_missing(tmp_path):
    (tmp_path / "x.jpg").symlink_to(tmp_path / "gone")

    assert keys(LocalStore(tmp_path)) == ["x.jpg"]
    with pytest.raises(Missing):
        LocalStore(tmp_path).read("x.jpg")


def test_a_file_is_no_folder(tmp_path):
    (tmp_path / "x").write_bytes(b"")

    with pytest.raises(DataError, match="is a file, not a folder"):
        LocalStore(tmp_path / "x")


def test_a_file_is_written_with_the_folders_above_it(tmp_path):
    store = LocalStore(tmp_path)
    store.write("a/b/x", b"1")
    store.write("a/b/x", b"22")

    assert store.read("a/b/x") == b"22" and keys(store) == ["a/b/x"]


def test_a_write_that_breaks_off_leaves_the_old_file(tmp_path):
    store = LocalStore(tmp_path)
    store.write("x", b"old")

    with pytest.raises(TypeError):
        store.write("x", None)
    assert store.read("x") == b"old" and [path.name for path in tmp_path.iterdir()] == ["x"]


def test_a_place_that_cannot_be_written_is_told(tmp_path):
    (tmp_path / "file").write_bytes(b"")

    with pytest.raises(Refused, match=r"file/x cannot be written \("):
        LocalStore(tmp_path).write("file/x", b"1")
    with pytest.raises(Refused, match="is not a key"):
        LocalStore(tmp_path).write("../x", b"1")


def test_what_a_killed_write_left_is_gone_with_the_next(tmp_path):
    (tmp_path / ".x.part").write_bytes(b"half")
    LocalStore(tmp_path).write("x", b"whole")

    assert [path.name for path in tmp_path.iterdir()] == ["x"]
