import hashlib
import io
import time

import pytest
from PIL import Image

from stocktake.data import retry
from stocktake.data.counts import Counts
from stocktake.data.listing import Listed, Reject, list_all
from stocktake.data.source import LeftOut, digest, fetch, fetch_all
from stocktake.errors import DataError
from stocktake.store.local import LocalStore
from stocktake.store.objects import Away, Entry


def outcomes(bucket, counts="", **more):
    store = LocalStore(bucket.folder)
    photos = list_all(store).photos
    return list(fetch_all(store, photos, counts=Counts(counts), **more))


def test_a_sound_photo_becomes_a_row(bucket):
    photo = bucket.photo("00001", size=(40, 30))
    bucket.record("00001", {"A": 2, "B": 1})

    (row,) = outcomes(bucket)

    assert isinstance(row, dict)
    assert row["jpeg"] == photo
    assert (row["width_px"], row["height_px"], row["count"]) == (40, 30, 3)
    assert [item["asin"] for item in row["items"]] == ["A", "B"]
    assert row["source"] == "bin-images/00001.jpg"
    assert row["sha256"] == hashlib.sha256(photo).hexdigest()


@pytest.mark.parametrize(
    ("reason", "spoil"),
    [
        ("missing-photo", lambda b: (b.folder / "bin-images/00002.jpg").unlink()),
        ("missing-metadata", lambda b: (b.folder / "metadata/00002.json").unlink()),
        ("bad-metadata", lambda b: b.put("metadata/00002.json", b"{")),
        ("unreadable", lambda b: b.put("bin-images/00002.jpg", b"")),
        ("unreadable", lambda b: b.put("bin-images/00002.jpg", b"no photo")),
        ("unreadable", lambda b: b.put("bin-images/00002.jpg", b.photo("00002")[:-200])),
    ],
)
def test_what_is_wrong_has_a_reason(bucket, reason, spoil):
    bucket.bin("00001", A=1)
    bucket.bin("00002", A=1)
    spoil(bucket)

    good, bad = outcomes(bucket)

    assert isinstance(good, dict)
    assert isinstance(bad, Reject)
    assert (bad.photo_id, bad.reason) == ("00002", reason)
    assert bad.detail


def test_a_listed_photo_that_is_gone_is_missing(bucket):
    bucket.record("00001", {"A": 1})
    gone = Listed(
        photo_id="00001", photo_key="bin-images/00001.jpg", metadata_key="metadata/00001.json"
    )

    outcome = fetch(LocalStore(bucket.folder), gone, counts=Counts())

    assert isinstance(outcome, Reject)
    assert outcome.reason == "missing-photo"


def test_counts_not_asked_for_are_left_out_unread(bucket):
    bucket.put("bin-images/00001.jpg", b"broken, but nobody asked")
    bucket.record("00001", {"A": 7})

    assert outcomes(bucket, counts="1-5") == [LeftOut(photo_id="00001", count=7)]


def test_outcomes_keep_the_order_of_the_listing(bucket):
    for number in range(60):
        bucket.bin(f"{number:05d}", A=1)

    found = outcomes(bucket, in_flight=7)

    assert [row["photo_id"] for row in found] == [f"{number:05d}" for number in range(60)]


def test_a_photo_is_shrunk_with_its_aspect_kept(bucket):
    bucket.photo("00001", size=(400, 300))
    bucket.record("00001", {"A": 1})

    (row,) = outcomes(bucket, side_px=60)

    assert (row["width_px"], row["height_px"]) == (80, 60)
    assert Image.open(io.BytesIO(row["jpeg"])).size == (80, 60)


def test_a_photo_is_never_enlarged(bucket):
    photo = bucket.photo("00001", size=(40, 30))
    bucket.record("00001", {"A": 1})

    (row,) = outcomes(bucket, side_px=60)

    assert row["jpeg"] == photo


@pytest.mark.parametrize(
    ("size", "kept"),
    [((400, 300), (60, 60)), ((400, 40), (60, 40)), ((40, 400), (40, 60)), ((40, 30), (40, 30))],
)
def test_a_photo_is_squashed_whatever_its_aspect(bucket, size, kept):
    photo = bucket.photo("00001", size=size)
    bucket.record("00001", {"A": 1})

    (row,) = outcomes(bucket, side_px=60, squash=True)

    assert (row["width_px"], row["height_px"]) == kept
    assert Image.open(io.BytesIO(row["jpeg"])).size == kept
    assert (row["jpeg"] == photo) == (size == kept)


@pytest.mark.filterwarnings("ignore:Image size")
def test_a_photo_of_100_megapixels_is_refused_before_it_is_unpacked(bucket):
    made = io.BytesIO()
    Image.new("1", (10_000, 10_000)).save(made, "PNG")
    bucket.put("bin-images/00001.jpg", made.getvalue())
    bucket.record("00001", {"A": 1})

    (bad,) = outcomes(bucket)

    assert (bad.reason, bad.photo_id) == ("unreadable", "00001")
    assert "10000 x 10000 pixels, at most 25,000,000 are taken of a PNG" in bad.detail


def test_a_file_too_large_is_refused_unread(bucket):
    bucket.record("00001", {"A": 1})
    with (bucket.folder / "bin-images/00001.jpg").open("wb") as file:
        file.truncate(60_000_000)

    (bad,) = outcomes(bucket)

    assert bad.reason == "refused"
    assert "has 60,000,000 bytes, at most 50,000,000 are taken" in bad.detail


def test_a_file_that_is_not_as_listed_is_damaged(bucket, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    bucket.bin("00001", A=1)
    store = LocalStore(bucket.folder)
    photos = list_all(store).photos
    bucket.put("bin-images/00001.jpg", b"other")

    (bad,) = fetch_all(store, photos, counts=Counts())

    assert isinstance(bad, Reject)
    assert bad.reason == "damaged"
    assert "5 bytes arrived" in bad.detail


class Slow(LocalStore):
    """A store that answers late, or not at all."""

    reads = 0

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        self.reads += 1
        time.sleep(0.002)
        if "00003" in key:
            raise DataError("the server does not answer")
        return super().read(key, listed=listed)


def test_a_store_that_fails_ends_it_at_once(bucket):
    for number in range(50):
        bucket.bin(f"{number:05d}", A=1)
    store = Slow(bucket.folder)
    photos = list_all(store).photos

    with pytest.raises(DataError, match="does not answer"):
        list(fetch_all(store, photos, counts=Counts(), in_flight=2))

    assert store.reads < 30


class Leaving(LocalStore):
    """A store that answers for the first photo, then no more."""

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        if "00000" not in key:
            raise Away("no route")
        return super().read(key, listed=listed)


def test_ending_early_does_not_wait_for_a_store_that_is_away(bucket, monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 20)
    for number in range(9):
        bucket.bin(f"{number:05d}", A=1)
    store = Leaving(bucket.folder)
    taken = fetch_all(store, list_all(store).photos, counts=Counts(), in_flight=1)
    next(taken)
    time.sleep(0.1)  # the next is being waited for
    started = time.monotonic()
    taken.close()

    assert time.monotonic() - started < 5


def test_few_photos_wait_in_memory(bucket):
    for number in range(50):
        bucket.bin(f"{number:05d}", A=1)
    store = Slow(bucket.folder)

    taken = fetch_all(store, list_all(store).photos, counts=Counts(), in_flight=1)
    next(taken)
    time.sleep(0.3)  # long enough to fetch all, if nothing held it back

    assert store.reads <= 8  # metadata and photo of 4: one taken, three ahead
    taken.close()


def test_the_digest_does_not_depend_on_order():
    pairs = [("00001", "aa"), ("1", "bb")]

    assert digest(lambda: pairs) == digest(lambda: pairs[::-1])
    assert digest(lambda: pairs) != digest(lambda: [("00001", "bb"), ("1", "aa")])


def test_the_digest_is_that_of_the_sorted_lines():
    """By line, unlike by id, `a b` may come before `a`."""
    pairs = [("a", "cc"), ("a b", "00"), ("b", "11")]

    lines = sorted(f"{photo_id} {sha256}\n" for photo_id, sha256 in pairs)
    assert lines[0] == "a b 00\n"
    assert digest(lambda: pairs) == hashlib.sha256("".join(lines).encode()).hexdigest()
