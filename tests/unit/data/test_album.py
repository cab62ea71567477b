import shutil
from pathlib import Path

import pytest

from stocktake.data.album import Album, open_album, shards_at
from stocktake.errors import DataError, SettingsError
from stocktake.testing import samples


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "photos"
    (made / "b").mkdir(parents=True)
    for name in ("b/2.jpg", "b/1.PNG", "a.webp", "b.jpeg", "notes.txt", "b/.hidden.jpg"):
        (made / name).write_bytes(name.encode())
    return made


@pytest.fixture
def ingest(tmp_path: Path) -> Path:
    """A run with an ingest of 250 photos: three groups of rows."""
    samples.photos_run(tmp_path / "demo" / "ingest", photos=250)
    return tmp_path / "demo"


def keys(album: Album) -> list[str]:
    return [album.key(place) for place in range(len(album))]


def test_photos_are_those_with_an_ending_in_the_order_of_their_keys(folder):
    album = open_album(str(folder))

    assert keys(album) == ["a.webp", "b.jpeg", "b/1.PNG", "b/2.jpg"]
    assert [album.photo_id(place) for place in range(4)] == ["a", "b", "1", "2"]
    assert [album.read(place) for place in range(4)] == [key.encode() for key in keys(album)]


def test_the_limit_takes_the_first_and_only_they_make_the_digest(folder):
    album = open_album(str(folder), limit=2)
    (folder / "b" / "3.jpg").write_bytes(b"3")

    assert keys(album) == ["a.webp", "b.jpeg"]
    assert open_album(str(folder), limit=2).digest == album.digest
    assert open_album(str(folder)).digest != album.digest


def test_a_photo_that_is_gone_or_has_changed_says_so_and_hurts_only_itself(folder):
    album = open_album(str(folder))
    (folder / "a.webp").unlink()
    (folder / "b.jpeg").write_bytes(b"longer than it was listed")

    gone, changed = album.read(0), album.read(1)
    assert isinstance(gone, str) and "is not there" in gone
    assert isinstance(changed, str) and "were expected" in changed
    assert album.read(2) == b"b/1.PNG"


def test_a_name_that_is_no_text_can_be_written_down(tmp_path):
    (tmp_path / "p").mkdir()
    try:
        Path(str(tmp_path / "p") + "/caf\udce9.jpg").write_bytes(b"x")
    except (OSError, UnicodeError):
        pytest.skip("this disk takes only UTF-8 names")
    album = open_album(str(tmp_path / "p"))

    assert keys(album) == ["caf\\udce9.jpg"] and album.photo_id(0) == "caf\\udce9"
    assert album.read(0) == b"x"


@pytest.mark.parametrize("inside", ["", "ingest", "ingest/artifacts/photos"])
def test_an_ingest_is_found_by_its_run_its_stage_and_its_shards(ingest, inside):
    album = open_album(str(ingest / inside))

    assert len(album) == 250
    assert (album.key(130), album.photo_id(130)) == ("bin-images/00130.jpg", "00130")
    assert album.read(130) == samples.squares(130 % 4, seed=130)


def test_the_digest_of_shards_sees_their_photos_and_not_where_they_lie(ingest, tmp_path):
    shutil.copytree(ingest / "ingest" / "artifacts" / "photos", tmp_path / "copy")
    other = samples.photos_run(tmp_path / "other", photos=251)
    album = open_album(str(ingest))

    assert open_album(str(tmp_path / "copy")).digest == album.digest
    assert open_album(str(other.path)).digest != album.digest
    assert open_album(str(other.path), limit=250).digest == album.digest


def test_a_damaged_shard_hurts_the_photos_of_its_group_only(ingest):
    (path,) = (ingest / "ingest" / "artifacts" / "photos").iterdir()
    album = open_album(str(ingest))
    photo = album.read(5)
    data = bytearray(path.read_bytes())
    at = data.find(photo)
    data[at + 40] ^= 255
    path.write_bytes(data)
    album = open_album(str(ingest))

    hurt = album.read(5)
    assert isinstance(hurt, str) and "make it again" in hurt
    assert isinstance(album.read(150), bytes)


@pytest.mark.parametrize("name", ["nowhere", "empty"])
def test_a_place_without_photos_is_one_line(tmp_path, name):
    (tmp_path / "empty").mkdir()

    with pytest.raises(DataError) as caught:
        open_album(str(tmp_path / name))

    assert "\n" not in str(caught.value)


def test_addresses_of_another_kind_are_refused():
    assert shards_at("s3://bucket/x") is None
    with pytest.raises(SettingsError, match="ftp://"):
        open_album("ftp://x/y")
