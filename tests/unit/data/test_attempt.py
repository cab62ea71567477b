import hashlib
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from stocktake.data.attempt import Attempt
from stocktake.data.listing import Listed, Listing, reject
from stocktake.data.source import LeftOut, Outcome
from stocktake.store.objects import Entry
from stocktake.store.shards import ShardWriter

PHOTOS = 700


class Killed(BaseException):
    """Stands for kill -9: nothing that comes after it is done."""


def listing(photos: int = PHOTOS, *, version: str = "1") -> Listing:
    def one(number: int) -> Listed:
        photo_id = f"{number:05d}"
        entry = Entry(key=f"bin-images/{photo_id}.jpg", size_bytes=9, version=version)
        return Listed(
            photo_id=photo_id,
            photo_key=entry.key,
            metadata_key=f"metadata/{photo_id}.json",
            photo=entry,
        )

    strange = reject("", "bin-images/notes.txt", "bad-name", "expected bin-images/ID.jpg")
    return Listing(photos=[one(number) for number in range(photos)], rejects=[strange])


def outcome_of(listed: Listed) -> Outcome:
    """Every seventh photo is not asked for, every eleventh is broken."""
    number = int(listed.photo_id)
    if number % 7 == 3:
        return LeftOut(photo_id=listed.photo_id, count=number % 5)
    if number % 11 == 3:
        return reject(listed.photo_id, str(listed.photo_key), "unreadable", "cut short")
    jpeg = listed.photo_id.encode() * (1 + number % 3)
    return {
        "photo_id": listed.photo_id,
        "jpeg": jpeg,
        "width_px": 4,
        "height_px": 3,
        "count": 2,
        "items": [{"asin": "A", "name": None, "quantity": 2, "height_in": 0.1}],
        "source": str(listed.photo_key),
        "sha256": hashlib.sha256(jpeg).hexdigest(),
    }


def go_on(folder: Path, *, die_at: int = -1, what: Listing | None = None) -> tuple[Attempt, int]:
    """One attempt, with photos fetched; killed before the fetch of number `die_at`."""
    folder.mkdir(exist_ok=True)
    attempt = Attempt(folder / "attempt.jsonl", folder / "photos", what or listing())
    photos = folder / "photos"
    writer = ShardWriter(photos, 150, kept=attempt.kept, on_shard=attempt.note)
    shards = writer.__enter__()
    fetched = 0
    for row in attempt.spooled():
        shards.add(row)
    for listed in attempt.left():
        if fetched == die_at:
            shards._settle()  # the thread dies as well
            raise Killed
        fetched += 1
        outcome = outcome_of(listed)
        attempt.saw(outcome)
        if isinstance(outcome, dict):
            shards.add(outcome)
        attempt.note()
    writer.__exit__(None, None, None)
    return attempt, fetched


def killed_at(folder: Path, *places: int) -> None:
    for place in places:
        with pytest.raises(Killed):
            go_on(folder, die_at=place)


def state(folder: Path, attempt: Attempt) -> dict[str, Any]:
    return {
        "files": {p.name: p.read_bytes() for p in (folder / "photos").iterdir()},
        "rejects": attempt.rejects,
        "left out": attempt.other_counts,
        "numbers": (attempt.seen, attempt.photos, attempt.size_bytes),
    }


@pytest.fixture
def calm(tmp_path: Path) -> dict[str, Any]:
    """What an undisturbed attempt ends with."""
    attempt, fetched = go_on(tmp_path / "calm")
    assert fetched == PHOTOS
    return state(tmp_path / "calm", attempt)


@pytest.mark.parametrize(
    "places",
    [(0,), (1,), (19,), (20,), (155,), (399, 0, 0), (190, 3, 130), (699,), (450, 1, 1, 1, 120)],
)
def test_wherever_it_is_killed_it_ends_as_an_undisturbed_one(tmp_path, calm, places):
    killed_at(tmp_path / "one", *places)
    attempt, _ = go_on(tmp_path / "one")

    assert state(tmp_path / "one", attempt) == calm
    left = [p.name for p in (tmp_path / "one").iterdir()]
    assert sorted(left) == ["attempt.jsonl", "photos"]


def test_only_what_is_missing_is_fetched_again(tmp_path):
    killed_at(tmp_path / "one", 650)

    attempt, fetched = go_on(tmp_path / "one")

    assert [shard.photos for shard in attempt.kept] == [150] * 3
    assert fetched <= 50 + 20 + 100  # the rest, the outcomes not noted, the rows not spooled


def test_a_finished_one_fetches_nothing(tmp_path, calm):
    go_on(tmp_path / "one")
    attempt, fetched = go_on(tmp_path / "one")

    assert fetched == 0
    assert state(tmp_path / "one", attempt) == calm


def part_of_killed(folder: Path) -> Path:
    killed_at(folder, 530)
    return folder / ".photos.part"


def test_a_damaged_shard_is_made_again_with_all_after_it(tmp_path, calm):
    shard = part_of_killed(tmp_path / "one") / "part-00001.parquet"
    damaged = bytearray(shard.read_bytes())
    damaged[len(damaged) // 2] ^= 1
    shard.write_bytes(damaged)

    attempt, fetched = go_on(tmp_path / "one")

    assert len(attempt.kept) == 1
    assert fetched > PHOTOS - 250
    assert state(tmp_path / "one", attempt) == calm


def test_a_shard_that_is_gone_is_made_again(tmp_path, calm):
    (part_of_killed(tmp_path / "one") / "part-00000.parquet").unlink()

    attempt, _ = go_on(tmp_path / "one")

    assert attempt.kept == []
    assert state(tmp_path / "one", attempt) == calm


@pytest.mark.parametrize("cut", [1, 5000])
def test_a_spool_cut_short_is_fetched_again(tmp_path, calm, cut):
    spool = part_of_killed(tmp_path / "one") / ".spool"
    spool.write_bytes(spool.read_bytes()[:-cut])

    attempt, _ = go_on(tmp_path / "one")

    assert state(tmp_path / "one", attempt) == calm


def test_a_spool_with_other_bytes_is_fetched_again(tmp_path, calm):
    spool = part_of_killed(tmp_path / "one") / ".spool"
    whole = spool.read_bytes()
    at = whole.rfind(b"004")
    spool.write_bytes(whole[:at] + b"X" + whole[at + 1 :])

    attempt, _ = go_on(tmp_path / "one")

    assert state(tmp_path / "one", attempt) == calm


@pytest.mark.parametrize("cut", [1, 30, 500])
def test_a_journal_cut_short_is_trusted_as_far_as_it_goes(tmp_path, calm, cut):
    part_of_killed(tmp_path / "one")
    journal = tmp_path / "one" / "attempt.jsonl"
    journal.write_bytes(journal.read_bytes()[:-cut])

    attempt, _ = go_on(tmp_path / "one")

    assert state(tmp_path / "one", attempt) == calm


@pytest.mark.parametrize("text", [b"", b"\xff\xfe", b"[]\n", b'{"format": "attempt/9"}\n'])
def test_what_is_no_journal_means_from_the_start(tmp_path, calm, text):
    part_of_killed(tmp_path / "one")
    (tmp_path / "one" / "attempt.jsonl").write_bytes(text)

    attempt, fetched = go_on(tmp_path / "one")

    assert fetched == PHOTOS
    assert state(tmp_path / "one", attempt) == calm


def test_another_listing_means_from_the_start(tmp_path):
    part_of_killed(tmp_path / "one")

    _, fetched = go_on(tmp_path / "one", what=listing(version="2"))

    assert fetched == PHOTOS


def test_killed_between_the_shards_and_the_end_it_keeps_the_shards(tmp_path, calm):
    go_on(tmp_path / "one")
    shutil.rmtree(tmp_path / "one" / ".photos.part", ignore_errors=True)

    attempt, fetched = go_on(tmp_path / "one")

    assert (fetched, attempt.kept_outcomes) == (0, PHOTOS)
    assert state(tmp_path / "one", attempt) == calm


def test_forgotten_it_starts_anew(tmp_path):
    attempt, _ = go_on(tmp_path / "one")
    attempt.forget()

    assert go_on(tmp_path / "one")[1] == PHOTOS


def test_the_journal_stays_small(tmp_path):
    killed_at(tmp_path / "one", 90, 60)
    go_on(tmp_path / "one")

    lines = (tmp_path / "one" / "attempt.jsonl").read_bytes().count(b"\n")
    assert lines <= 1 + PHOTOS // 20 + 4  # the head, one now and then, one for each shard


def test_the_journal_says_its_format_first(tmp_path):
    go_on(tmp_path / "one", what=listing(30))

    lines = (tmp_path / "one" / "attempt.jsonl").read_text().splitlines()

    assert json.loads(lines[0])["format"] == "attempt/1"
    assert json.loads(lines[-1])["shard"]["name"] == "part-00000.parquet"
