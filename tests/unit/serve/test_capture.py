import logging
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stocktake.errors import SettingsError
from stocktake.schema import captures
from stocktake.serve import capture as module
from stocktake.serve.capture import Capture, is_chosen
from stocktake.store.address import open_store
from stocktake.store.local import LocalStore
from stocktake.store.objects import Away

ANSWER = {
    "count": 4,
    "confidence": 0.5,
    "low": 3,
    "high": 5,
    "coverage": 0.9,
    "decision": "review",
    "probabilities": [0.1, 0.1, 0.1, 0.1, 0.5, 0.1],
    "bundle": "b",
    "ms": 12.5,
}


class Shaky(LocalStore):
    """A folder that does not take files while it is told so, or keeps its writer waiting."""

    failure: Exception | None = None
    tries = 0

    def __init__(self, address: Path) -> None:
        super().__init__(address)
        self.gate = threading.Event()
        self.gate.set()

    def write(self, key: str, data: bytes) -> None:
        self.tries += 1
        assert self.gate.wait(20)
        if self.failure:
            raise self.failure
        super().write(key, data)


@pytest.fixture
def shaky(tmp_path: Path) -> Shaky:
    return Shaky(tmp_path)


@contextmanager
def capturing(store: LocalStore, **change: float) -> Iterator[Capture]:
    made = Capture(store, **change)  # type: ignore[arg-type]
    try:
        yield made
    finally:
        made.close()


def note(capture: Capture, number: int = 0, answer: dict | None = None, size: int = 100) -> str:
    photo = number.to_bytes(4, "big") * (size // 4)
    answer = ANSWER if answer is None else answer
    status = 422 if "error" in answer else 200
    return capture.note(photo, "image/jpeg", answer=answer, status=status, endpoint="/v1/count")


def wait_for(fact: Callable[[], object]) -> None:
    until = time.monotonic() + 20
    while not fact():
        assert time.monotonic() < until
        time.sleep(0.005)


def files_in(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


def test_every_event_is_one_row_with_photo_and_answer(tmp_path):
    before = datetime.now(UTC)
    with capturing(LocalStore(tmp_path)) as capture:
        ids = [note(capture, number) for number in range(5)]
        refused = note(capture, 9, {"error": "the photo is cut short"})

    found = captures.read(tmp_path)
    assert found["event_id"].to_pylist() == [*ids, refused] and len(set(ids)) == 5
    first, *_, last = found.to_pylist()
    assert first["photo"] == (0).to_bytes(4, "big") * 25
    kept = ("count", "low", "high", "decision", "bundle", "ms")
    assert {name: first[name] for name in kept} == {name: ANSWER[name] for name in kept}
    assert (first["status"], first["endpoint"], first["error"]) == (200, "/v1/count", None)
    assert (last["status"], last["count"], last["error"]) == (422, None, "the photo is cut short")
    assert before <= first["captured_at"] <= last["captured_at"] <= datetime.now(UTC)


def test_a_file_is_written_as_soon_as_it_has_its_rows(tmp_path):
    with capturing(LocalStore(tmp_path), rows_per_file=10, every_s=600) as capture:
        for number in range(25):
            note(capture, number)
        wait_for(lambda: capture.tally().written == 20)

        assert len(files_in(tmp_path)) == 2
    assert len(files_in(tmp_path)) == 3
    assert captures.read(tmp_path).num_rows == 25


def test_a_file_is_written_when_its_time_is_up(tmp_path):
    with capturing(LocalStore(tmp_path), every_s=0.05) as capture:
        note(capture)
        wait_for(lambda: capture.tally().written == 1)

        assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_a_file_of_large_photos_is_full_before_it_has_its_rows(tmp_path):
    with capturing(LocalStore(tmp_path), every_s=600) as capture:
        for number in range(5):
            note(capture, number, size=5_000_000)
        wait_for(lambda: capture.tally().written == 5)

        assert len(list(tmp_path.rglob("*.parquet"))) == 1


def test_rows_of_two_hours_lie_in_two_files(tmp_path, monkeypatch):
    with capturing(LocalStore(tmp_path), every_s=600) as capture:
        for hour in (22, 22, 23):
            at = datetime(2026, 11, 25, hour, 59, 1, tzinfo=UTC)
            monkeypatch.setattr(module, "now", lambda at=at: at)
            note(capture)

    hours = [path.parent.relative_to(tmp_path).as_posix() for path in files_in(tmp_path)]
    assert hours == ["2026/11/25/22", "2026/11/25/23"]


def test_threads_note_together_and_nothing_is_lost(tmp_path):
    with (
        capturing(LocalStore(tmp_path), rows_per_file=50) as capture,
        ThreadPoolExecutor(8) as pool,
    ):
        ids = list(pool.map(lambda number: note(capture, number), range(800)))

    found = captures.read(tmp_path, columns=["event_id"])
    assert sorted(found["event_id"].to_pylist()) == sorted(ids)


def test_a_store_that_hangs_keeps_nobody_waiting_and_drops_are_counted(shaky):
    shaky.gate.clear()
    with capturing(shaky, rows_per_file=1) as capture:
        note(capture)
        wait_for(lambda: shaky.tries)
        began = time.monotonic()
        ids = [note(capture, number) for number in range(module.WAITING + 300)]

        assert time.monotonic() - began < 2
        assert ids.count("") == 300 and ids[-1] == ""
        assert capture.tally().dropped == {module.BUSY: 300}
        shaky.gate.set()
        wait_for(lambda: capture.tally().written == module.WAITING + 1)


def test_large_photos_fill_the_queue_by_their_size(shaky):
    shaky.gate.clear()
    with capturing(shaky, rows_per_file=1) as capture:
        note(capture)
        wait_for(lambda: shaky.tries)
        ids = [note(capture, number, size=8_000_000) for number in range(10)]
        shaky.gate.set()

    assert [bool(i) for i in ids] == [True] * 8 + [False] * 2


@pytest.mark.parametrize("failure", [Away("no answer"), OSError(28, "No space left on device")])
def test_a_place_that_is_away_is_told_once_and_gets_its_file_when_it_is_back(
    shaky, caplog, monkeypatch, failure
):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 0.01)
    monkeypatch.setattr(module, "LONGEST_WAIT_S", 0.02)
    shaky.failure = failure
    with capturing(shaky, rows_per_file=2) as capture:
        for number in range(4):
            assert note(capture, number)
        wait_for(lambda: capture.tally().failures >= 4)
        assert len(caplog.records) == 1 and "could not be written" in caplog.text
        shaky.failure = None
        wait_for(lambda: capture.tally().written == 4)

    assert captures.read(Path(shaky.address)).num_rows == 4
    assert len(caplog.records) == 2 and "takes files again" in caplog.text


def test_events_do_not_hurry_the_next_try(shaky, monkeypatch):
    monkeypatch.setattr(module, "FIRST_WAIT_S", 30.0)
    shaky.failure = Away("no answer")
    with capturing(shaky, rows_per_file=1) as capture:
        note(capture)
        wait_for(lambda: capture.tally().failures)
        for number in range(100):
            note(capture, number)

        assert shaky.tries == 1
        shaky.failure = None
    assert captures.read(Path(shaky.address)).num_rows == 101


def test_a_server_that_stops_while_the_place_is_away_says_what_is_lost(shaky, caplog):
    shaky.failure = Away("no answer")
    capture = Capture(shaky, rows_per_file=2)
    for number in range(5):
        note(capture, number)
    began = time.monotonic()
    capture.close(timeout_s=0.3)

    assert time.monotonic() - began < 5
    assert capture.tally().dropped == {module.LOST: 5}
    assert "5 of 5 events were not kept: 5 not written" in caplog.text


def test_a_store_that_hangs_does_not_hold_up_the_end(shaky):
    shaky.gate.clear()
    capture = Capture(shaky, rows_per_file=1)
    note(capture)
    wait_for(lambda: shaky.tries)
    began = time.monotonic()
    capture.close(timeout_s=0.2)

    assert time.monotonic() - began < 5
    assert capture.tally().dropped == {module.LOST: 1}
    shaky.gate.set()


def test_after_the_end_nothing_is_taken(tmp_path):
    capture = Capture(LocalStore(tmp_path))
    capture.close()
    capture.close()

    assert note(capture) == ""
    assert capture.tally().dropped == {module.CLOSED: 1} and not files_in(tmp_path)


def test_a_full_share_of_the_disk_ends_capturing_and_is_told_once(tmp_path, caplog):
    with capturing(LocalStore(tmp_path), rows_per_file=2, max_mb=0.05) as capture:
        for number in range(4):
            note(capture, number, size=8000)
        wait_for(lambda: capture.tally().written == 4)
        for number in range(2):
            note(capture, number, size=8000)
        wait_for(lambda: capture.tally().dropped)
        told = len(caplog.records)
        ids = [note(capture, number) for number in range(10)]

        assert ids == [""] * 10 and len(caplog.records) == told == 1
        assert capture.tally().dropped == {module.OVER: 12}
    assert sum(path.stat().st_size for path in files_in(tmp_path)) <= 50_000


def test_files_of_an_earlier_server_count_towards_the_bound(tmp_path):
    with capturing(LocalStore(tmp_path), max_mb=0.05) as capture:
        note(capture, size=40_000)
    with capturing(LocalStore(tmp_path), max_mb=0.05) as capture:
        note(capture, size=8_000)

    assert capture.tally().dropped == {module.OVER: 1}
    assert len(files_in(tmp_path)) == 1


def test_an_answer_of_another_form_costs_only_its_own_row(tmp_path, caplog):
    with capturing(LocalStore(tmp_path)) as capture:
        for answer in (ANSWER, ANSWER | {"count": "four"}, ANSWER | {"low": 5}, ANSWER):
            note(capture, answer=answer)

    assert captures.read(tmp_path).num_rows == 2
    assert capture.tally().dropped == {module.UNFIT: 2}
    assert caplog.text.count("like all of its kind") == 1


def test_a_fault_of_ours_ends_capturing_and_nothing_else(shaky, caplog):
    shaky.failure = KeyError("lost")
    with capturing(shaky, rows_per_file=1) as capture:
        note(capture)
        wait_for(lambda: capture.tally().dropped)

        assert note(capture) == ""
        assert capture.tally().dropped == {module.FAILED: 2}
    assert caplog.records[0].levelno == logging.ERROR


def test_the_share_is_kept_and_the_same_ids_are_chosen_again(tmp_path):
    ids = [f"event-{number}" for number in range(4000)]
    chosen = [i for i in ids if is_chosen(i, 0.25)]

    assert 0.22 < len(chosen) / len(ids) < 0.28
    assert set(chosen) <= {i for i in ids if is_chosen(i, 0.5)}
    assert all(is_chosen(i, 1.0) and not is_chosen(i, 0.0) for i in ids)
    with capturing(LocalStore(tmp_path), share=0.0) as capture:
        assert note(capture) == ""
    assert capture.tally().noted == 0


def test_a_bucket_takes_files_as_a_folder_does(s3_server, tmp_path, monkeypatch):
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "STOCKTAKEKEY")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "stocktake-secret")
    store = open_store("s3://closed/captured", endpoint_url=s3_server.url)
    capture = Capture(store)
    ids = [note(capture, number) for number in range(3)]
    capture.close()
    (entry,) = store.list()
    (tmp_path / "one.parquet").write_bytes(store.read(entry.key))

    assert captures.read(tmp_path)["event_id"].to_pylist() == ids


@pytest.mark.parametrize(
    "change", [{"share": 1.1}, {"share": -0.1}, {"every_s": 0}, {"rows_per_file": 0}, {"max_mb": 0}]
)
def test_impossible_bounds_are_refused(tmp_path, change):
    with pytest.raises(SettingsError, match=next(iter(change))):
        Capture(LocalStore(tmp_path), **change)
