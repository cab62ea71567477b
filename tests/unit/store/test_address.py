import pytest

from stocktake.errors import DataError, SettingsError
from stocktake.store.address import open_store


def test_a_folder_opens(tmp_path):
    (tmp_path / "x.txt").write_bytes(b"x")

    assert open_store(str(tmp_path)).read("x.txt") == b"x"
    assert open_store(f"file://{tmp_path}").read("x.txt") == b"x"


def test_a_bucket_opens_without_asking_the_server():
    store = open_store("s3://some-bucket/some/prefix/", anonymous=True)

    assert store.address == "s3://some-bucket/some/prefix"
    assert not store.lists_fast


@pytest.mark.parametrize(
    ("address", "told"),
    [
        ("", "address is empty"),
        ("gs://bucket", "begins with gs://"),
        ("s3://", "names no bucket"),
        ("s3://a bucket", "'a bucket' cannot be a bucket's name"),
    ],
)
def test_other_addresses_are_refused(address, told):
    with pytest.raises(SettingsError, match=told):
        open_store(address)


def test_a_missing_folder_names_the_nearest(tmp_path):
    (tmp_path / "photos").mkdir()

    with pytest.raises(DataError, match="there is no folder .*did you mean 'photos'?"):
        open_store(str(tmp_path / "phtoos" / "more"))


def test_a_folder_to_write_into_is_made(tmp_path):
    open_store(str(tmp_path / "a" / "b"), create=True).write("c/x", b"1")
    open_store(f"file://{tmp_path}/f", create=True)

    assert (tmp_path / "a/b/c/x").read_bytes() == b"1" and (tmp_path / "f").is_dir()


def test_a_file_is_not_made_a_folder(tmp_path):
    (tmp_path / "x").write_bytes(b"")

    with pytest.raises(DataError, match="is a file, not a folder"):
        open_store(str(tmp_path / "x"), create=True)
