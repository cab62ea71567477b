import io

import pytest
from PIL import Image

from stocktake.data import duplicates


def png(shade: int, *, level: int = 6) -> bytes:
    photo = Image.new("RGB", (30, 20), (shade, 20, 30))
    photo.putpixel((3, 3), (1, 2, 3))
    made = io.BytesIO()
    photo.save(made, "PNG", compress_level=level)
    return made.getvalue()


@pytest.fixture
def three(photo_row, table_of):
    """Files by id and their rows: 1 and 2 one file, 3 the same pixels, 4 others, 5 no photo."""
    files = {"1": png(9), "2": png(9), "3": png(9, level=0), "4": png(8), "5": b"gone"}
    rows = [photo_row(i, 1, {}, sha256=str(hash(file))) for i, file in files.items()]
    return files, table_of(*rows)


def test_the_same_file_twice_is_found_by_its_hash(three):
    assert duplicates.same_bytes(three[1]) == [["1", "2"]]


def test_the_same_pixels_in_another_file_are_found(three):
    files, rows = three
    digests = dict.fromkeys(files, b"small pictures can be equal where whole ones are not")

    assert duplicates.same_pixels(rows, digests, files.__getitem__) == [["1", "2", "3"]]


def test_the_same_file_is_not_told_as_the_same_pixels(three):
    files, rows = three

    assert duplicates.same_pixels(rows, {"1": b"d", "2": b"d"}, files.__getitem__) == []
    assert duplicates.same_pixels(rows, dict.fromkeys("124", b"d"), files.__getitem__) == []


def test_only_files_with_equal_small_pictures_are_read_once_each(three):
    files, rows = three
    read = []
    digests = {"1": b"d", "2": b"d", "3": b"d", "4": b"e"}
    duplicates.same_pixels(rows, digests, lambda one: read.append(one) or files[one])

    assert read == ["1", "3"]


def test_groups_and_photos_are_counted_beyond_what_is_shown():
    told = duplicates.summary([["a", "b"], ["c", "d", "e"], *[["x", "y"]] * 200])

    assert (told["groups"], told["photos"], len(told["shown"])) == (202, 405, 100)
