import pytest

from stocktake.data.image_folders import keys_of, upload
from stocktake.errors import DataError
from stocktake.store.local import LocalStore

SPLIT = [
    {"photo_id": f"{number:05d}", "count": number % 3, "fold": fold}
    for number, fold in enumerate(["train", "train", "train", "val", "calib", "test", "test"])
]


def jpeg_of(photo_id: str) -> bytes:
    return f"photo {photo_id}".encode()


def files(folder) -> dict[str, tuple[bytes, int]]:
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_photos_lie_by_fold_and_count_as_the_report_had_them(tmp_path):
    came = upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)

    assert {name: data for name, (data, _) in files(tmp_path).items()} == {
        "train/0/00000.jpg": b"photo 00000",
        "train/1/00001.jpg": b"photo 00001",
        "train/2/00002.jpg": b"photo 00002",
        "valid/0/00003.jpg": b"photo 00003",
        "calib/1/00004.jpg": b"photo 00004",
        "test/2/00005.jpg": b"photo 00005",
        "test/0/00006.jpg": b"photo 00006",
    }
    assert (came.photos, came.found, came.size_bytes) == (7, 0, 7 * 11)


def test_a_second_upload_changes_nothing(tmp_path):
    upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)
    before = files(tmp_path)
    came = upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)

    assert files(tmp_path) == before
    assert (came.photos, came.found) == (7, 7)


def test_an_interrupted_upload_goes_on(tmp_path):
    def until_one(photo_id: str) -> bytes:
        if photo_id == "00001":
            raise KeyboardInterrupt
        return jpeg_of(photo_id)

    with pytest.raises(KeyboardInterrupt):
        upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=until_one, in_flight=1)
    there = files(tmp_path)
    came = upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)

    assert 0 < len(there) < 7 and came.found == len(there)
    assert {name: files(tmp_path)[name] for name in there} == there


@pytest.mark.parametrize("half", [b"photo", b"photo 99999"])
def test_what_lies_there_with_other_bytes_is_written_again(tmp_path, half):
    path = tmp_path / "test" / "2" / "00005.jpg"
    path.parent.mkdir(parents=True)
    path.write_bytes(half)
    came = upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)

    assert path.read_bytes() == b"photo 00005" and came.found == 0


def test_photos_of_another_split_are_refused_before_anything_is_written(tmp_path):
    for stray in ("train/2/00005.jpg", "test/1/x.jpg"):
        (tmp_path / stray).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / stray).write_bytes(b"x")

    with pytest.raises(DataError, match=r"2 objects that are not of this split, .*test/1/x\.jpg"):
        upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)
    assert len(files(tmp_path)) == 2


def test_other_things_at_the_address_are_left_alone(tmp_path):
    (tmp_path / "readme.txt").write_bytes(b"x")

    assert upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of).photos == 7


class Cutting(LocalStore):
    """A folder on a bad disk: what is written to one key loses its end."""

    def write(self, key: str, data: bytes) -> None:
        super().write(key, data[:-2] if key.endswith("00005.jpg") else data)


class Forgetting(LocalStore):
    """A folder that does not list one of its files."""

    def list(self, prefix: str = ""):
        for entry in super().list(prefix):
            if entry.key != "train/1/00001.jpg":
                yield entry


def test_bytes_that_arrive_otherwise_are_told(tmp_path):
    with pytest.raises(DataError, match=r"test/2/00005\.jpg has other bytes than were written"):
        upload(Cutting(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)


def test_a_photo_that_is_not_listed_afterwards_is_told(tmp_path):
    with pytest.raises(DataError, match=r"00001\.jpg is listed with no bytes, expected 11"):
        upload(Forgetting(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of)


def test_progress_is_told(tmp_path):
    seen: list[int] = []
    upload(LocalStore(tmp_path), keys_of(SPLIT), jpeg_of=jpeg_of, progress=seen.append)

    assert seen == [1, 2, 3, 4, 5, 6, 7]
