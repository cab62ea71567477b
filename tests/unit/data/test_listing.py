import json
import os

import pytest

from stocktake.data.listing import digest, list_all, list_from
from stocktake.errors import DataError
from stocktake.store.local import LocalStore


def listed(bucket):
    return list_all(LocalStore(bucket.folder))


def test_photos_are_listed_by_rising_id(bucket):
    for photo_id in ("00002", "1044", "01044", "105274"):
        bucket.bin(photo_id, A=1)

    listing = listed(bucket)

    assert [photo.photo_id for photo in listing.photos] == ["00002", "01044", "1044", "105274"]
    assert listing.photos[1].photo_key == "bin-images/01044.jpg"
    assert listing.rejects == []


def test_half_a_pair_is_listed_too(bucket):
    bucket.photo("00001")
    bucket.record("00002", {"A": 1})

    first, second = listed(bucket).photos

    assert (first.metadata_key, second.photo_key) == (None, None)


def test_strange_files_are_rejects(bucket):
    bucket.bin("00001", A=1)
    bucket.put("bin-images/notes.txt", b"")
    (bucket.folder / "bin-images" / "more").mkdir()
    bucket.put("bin-images/more/00003.jpg", b"")
    bucket.put("metadata/x.csv", b"")
    bucket.put("bin-images/00001.JPG", b"")

    rejects = {reject.source: reject.reason for reject in listed(bucket).rejects}

    assert rejects == {
        "bin-images/notes.txt": "bad-name",
        "bin-images/more/00003.jpg": "bad-name",
        "metadata/x.csv": "bad-name",
        "bin-images/00001.jpg": "listed-twice",
    }


def test_a_name_that_is_not_utf_8_is_a_reject(bucket):
    bucket.bin("00001", A=1)
    with open(os.fsencode(bucket.folder / "bin-images") + b"/\xff.jpg", "wb"):
        pass

    (reject,) = listed(bucket).rejects

    assert reject.source == "bin-images/\\udcff.jpg"


def test_ids_are_in_order_and_paired_where_keys_are_not(bucket):
    """By key `a-b.jpg` comes before `a.jpg`."""
    for photo_id in ("a", "a-b", "b", "é", "0 1"):
        bucket.photo(photo_id)
    for photo_id in ("a-b", "a", "a.c", "é"):
        bucket.record(photo_id, {"A": 1})

    photos = listed(bucket).photos

    assert [photo.photo_id for photo in photos] == ["0 1", "a", "a-b", "a.c", "b", "é"]
    assert [bool(photo.photo) for photo in photos] == [True, True, True, False, True, True]
    assert [bool(photo.metadata) for photo in photos] == [False, True, True, True, False, True]
    assert photos[-1] == photos[5] and photos[1:3] == [photos[1], photos[2]]


def test_of_one_id_the_first_by_key_is_taken(bucket):
    for name in ("00001.jpeg", "00001.jpg", "00001.JPG", "00000.jpg"):
        bucket.put(f"bin-images/{name}", b"")

    listing = listed(bucket)

    keys = [photo.photo_key for photo in listing.photos]
    assert keys == ["bin-images/00000.jpg", "bin-images/00001.JPG"]
    assert [reject.source for reject in listing.rejects] == [
        "bin-images/00001.jpeg",
        "bin-images/00001.jpg",
    ]


def test_the_digest_comes_with_the_listing(bucket):
    bucket.bin("00001", A=1)
    bucket.put("bin-images/notes.txt", b"")

    assert listed(bucket).digest == digest(LocalStore(bucket.folder))


def test_an_empty_folder_says_what_was_looked_for(bucket):
    bucket.put("metadata/00001.json", b"{}")

    with pytest.raises(DataError, match=r"looked for bin-images/ID\.jpg .* found metadata/;"):
        listed(bucket)


def test_the_folder_above_is_told_from_the_folder(bucket):
    bucket.bin("00001", A=1)

    with pytest.raises(DataError, match="found bucket/; name the folder that holds bin-images/"):
        list_all(LocalStore(bucket.folder.parent))


def write(path, content):
    path.write_text(json.dumps(content))
    return path


def test_a_list_file_names_photos(tmp_path):
    names = {"1": ["data/metadata/00009.json"], "2": ["metadata/1044.json"]}

    listing = list_from(write(tmp_path / "list.json", names))

    assert [photo.photo_id for photo in listing.photos] == ["00009", "1044"]
    assert listing.photos[0].photo_key == "bin-images/00009.jpg"


def test_an_id_listed_again_is_taken_once_and_told(tmp_path):
    one, two = "data/metadata/00001.json", "data/metadata/00002.json"

    listing = list_from(write(tmp_path / "list.json", {"3": [one, one, two], "4": [one]}))

    assert [photo.photo_id for photo in listing.photos] == ["00001", "00002"]
    assert [reject.reason for reject in listing.rejects] == ["listed-twice"] * 2
    assert listing.rejects[0].detail == "listed 3 times, under 3, 3, 4; taken once"


@pytest.mark.parametrize(
    "name",
    ["../metadata/1.json", "data/metadata/../1.json", "/metadata/1.json", "data/metadata/.json",
     "metadata/1.jpg", "data/metadata/..json", "metadata/a\\b.json"],
)  # fmt: skip
def test_tricks_in_a_list_file_are_rejects(tmp_path, name):
    listing = list_from(write(tmp_path / "list.json", {"1": [name]}))

    assert listing.photos == []
    assert [reject.reason for reject in listing.rejects] == ["bad-name"]


@pytest.mark.parametrize("content", [[], {}, {"1": "x"}, {"1": [3]}, {"1": []}])
def test_another_form_is_refused(tmp_path, content):
    with pytest.raises(DataError, match=r"expected (JSON, )?class -> \[data/metadata/ID\.json\]"):
        list_from(write(tmp_path / "list.json", content))


def test_a_missing_or_broken_list_file_is_told(tmp_path):
    with pytest.raises(DataError, match="there is no list file"):
        list_from(tmp_path / "list.json")
    (tmp_path / "list.json").write_bytes(b"\xff")
    with pytest.raises(DataError, match="cannot be read"):
        list_from(tmp_path / "list.json")


def test_the_digest_sees_names_sizes_and_times(bucket):
    bucket.bin("00001", A=1)
    store = LocalStore(bucket.folder)
    seen = [digest(store)]
    bucket.put("metadata/00002.json", b"{}")
    seen.append(digest(store))
    bucket.put("bin-images/notes.txt", b"")
    seen.append(digest(store))
    os.utime(bucket.folder / "metadata" / "00001.json", (1, 1))
    seen.append(digest(store))

    assert len({*seen}) == 4
    assert digest(store) == seen[-1]


def test_what_is_listed_is_kept_beside_its_key(bucket):
    bucket.bin("00001", A=1)

    (photo,) = listed(bucket).photos

    assert photo.photo is not None and photo.metadata is not None
    assert photo.photo.size_bytes == (bucket.folder / "bin-images/00001.jpg").stat().st_size
    assert (photo.photo.key, photo.metadata.key) == (photo.photo_key, photo.metadata_key)
