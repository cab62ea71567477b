import threading
import time
from collections.abc import Iterator

import pytest

from stocktake.data import retry
from stocktake.data.retry import PatientReader, Unanswered
from stocktake.errors import DataError
from stocktake.store.objects import Away, Entry, Garbled, Missing, Refused


class Stumbling:
    """A store whose answers are set beforehand: bytes, or an error, by key; the last one stays."""

    address = "s3://here"
    lists_fast = False

    def __init__(self, **answers: list[bytes | Exception]) -> None:
        self.answers = answers
        self.asked = 0

    def list(self, prefix: str = "") -> Iterator[Entry]:
        return iter(())

    def exists(self, key: str) -> bool:
        return key in self.answers

    def read(self, key: str, *, listed: Entry | None = None) -> bytes:
        self.asked += 1
        left = self.answers[key]
        found = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(found, Exception):
            raise found
        return found


@pytest.fixture(autouse=True)
def short_waits(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 0.001)
    monkeypatch.setattr(retry, "LONGEST_WAIT_S", 0.01)


def test_what_arrives_otherwise_is_read_again():
    store = Stumbling(a=[Garbled("short"), Garbled("short"), b"whole"])

    assert PatientReader(store).read("a") == b"whole"


def test_what_arrives_otherwise_every_time_is_told():
    store = Stumbling(a=[Garbled("short")])

    with pytest.raises(Garbled):
        PatientReader(store).read("a")
    assert store.asked == retry.GARBLED_TRIES


@pytest.mark.parametrize("kind", [Missing, Refused, DataError])
def test_what_will_not_change_is_not_asked_again(kind):
    store = Stumbling(a=[kind("no")])

    with pytest.raises(kind):
        PatientReader(store).read("a")
    assert store.asked == 1


def test_a_store_that_is_away_for_a_while_is_waited_for():
    store = Stumbling(a=[b"1", *[Away("away")] * 20, b"2"])
    reader = PatientReader(store, away_s=10)

    assert [reader.read("a"), reader.read("a")] == [b"1", b"2"]


def test_a_store_that_stays_away_ends_it_in_one_line():
    reader = PatientReader(Stumbling(a=[b"1", Away("no route")]), away_s=0.05)
    reader.read("a")

    with pytest.raises(DataError, match=r"no route; no answer for 0\.05 s, run it again later"):
        reader.read("a")


def test_a_store_that_never_answered_is_told_at_once():
    store = Stumbling(a=[Away("no route")])

    with pytest.raises(Away):
        PatientReader(store).read("a")
    assert store.asked == 1


def test_an_object_without_an_answer_is_not_the_store():
    store = Stumbling(a=[Away("SlowDown")], b=[b"1"])
    reader = PatientReader(store, away_s=0.05)
    reader.read("b")

    with pytest.raises(Unanswered, match=r"s3://here/a had no answer in 0\.05 s, b had"):
        reader.read("a")


def test_a_store_that_comes_back_at_the_end_of_patience_is_asked_once_more():
    store = Stumbling(a=[Away("away"), b"2"], b=[b"1"])
    reader = PatientReader(store, away_s=0)
    reader.read("b")

    assert reader.read("a") == b"2"


def test_waits_grow_and_are_not_all_alike(monkeypatch):
    monkeypatch.undo()
    waits = retry._waits_s()
    first = [next(waits) for _ in range(12)]

    assert first[0] <= retry.FIRST_WAIT_S
    assert max(first) <= retry.LONGEST_WAIT_S
    assert first[8] > first[1]
    assert first != [wait for wait, _ in zip(retry._waits_s(), range(12), strict=False)]


def test_closing_ends_a_wait_at_once(monkeypatch):
    monkeypatch.setattr(retry, "FIRST_WAIT_S", 30)
    reader = PatientReader(Stumbling(a=[b"1", Away("away")]), away_s=60)
    reader.read("a")
    threading.Timer(0.1, reader.close).start()
    started = time.monotonic()

    with pytest.raises(DataError, match="was not read: the reader was closed"):
        reader.read("a")
    assert time.monotonic() - started < 5
