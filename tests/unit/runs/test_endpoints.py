import fcntl
import json
import os
import threading
import time
from pathlib import Path

import pytest

from stocktake.errors import RunError, SettingsError
from stocktake.runs import endpoints
from stocktake.runs.endpoints import Endpoint, EndpointFolder, Order


def endpoint(name: str = "shelf", **change: object) -> Endpoint:
    facts = {"status": "InService", "address": "http://127.0.0.1:9", "bundle": "ab", "model": "m"}
    return Endpoint(**({"name": name, "pid": 7, "created": 1.0} | facts | change))  # type: ignore[arg-type]


def order(number: int, folder: Path) -> Order:
    facts = {"bundle": "ab", "model": "m", "settings": {"port": 0}}
    return Order(number=number, folder=str(folder), **facts)  # type: ignore[arg-type]


@pytest.fixture
def folder(tmp_path: Path) -> EndpointFolder:
    made = EndpointFolder(tmp_path / "home" / "shelf")
    made.path.mkdir(parents=True)
    return made


def test_an_endpoint_whose_lock_is_held_is_as_it_says(folder):
    folder.write(endpoint(workers=[{"pid": 8, "plan": 1, "state": "ready"}]))
    lock = folder.claim()

    assert folder.is_alive()
    assert folder.read().status == "InService" and folder.read().ready == 1
    os.close(lock)


def test_an_endpoint_whose_process_is_gone_has_failed(folder):
    folder.write(endpoint(workers=[{"pid": 8, "plan": 1, "state": "ready"}]))
    os.close(folder.claim())

    found = folder.read()

    assert found.status == "Failed" and found.workers == []
    assert found.why == "its process 7 is gone; deploy it again, or delete it"


@pytest.mark.parametrize("status", ["Failed", "Stopped"])
def test_an_endpoint_that_ended_in_order_keeps_its_last_word(folder, status):
    folder.write(endpoint(status=status, why="said"))

    assert (folder.read().status, folder.read().why) == (status, "said")


def test_a_name_that_is_claimed_cannot_be_claimed_again(folder):
    lock = folder.claim()

    with pytest.raises(SettingsError, match="there is an endpoint shelf already; .*--update"):
        folder.claim()
    os.close(lock)
    os.close(folder.claim())


def test_somebody_who_only_looks_does_not_hinder_a_claim(folder):
    os.close(folder.claim())
    with (folder.path / "lock").open() as looking:
        fcntl.flock(looking, fcntl.LOCK_SH)
        threading.Timer(0.1, lambda: fcntl.flock(looking, fcntl.LOCK_UN)).start()

        claimed = folder.claim()

    assert claimed >= 0
    os.close(claimed)


def test_a_name_claimed_after_it_was_deleted_is_held_by_the_new_folder(folder):
    first = folder.claim()
    folder.remove()
    os.close(first)
    second = folder.claim()

    assert folder.is_alive()
    os.close(second)


def test_clearing_keeps_the_claim(folder):
    lock = folder.claim()
    folder.metrics.mkdir()
    folder.write(endpoint())
    folder.clear()

    assert [path.name for path in folder.path.iterdir()] == ["lock"] and folder.is_alive()
    os.close(lock)


def test_an_order_is_read_as_it_was_given_and_a_later_one_is_noticed(folder, tmp_path):
    assert folder.ordered_at() == 0
    folder.give(order(1, tmp_path))
    first = folder.ordered_at()
    time.sleep(0.01)  # a file system's clock may tick this slowly
    folder.give(order(2, tmp_path))

    assert folder.order() == order(2, tmp_path) and folder.ordered_at() > first > 0


def test_only_one_gives_orders_at_a_time(folder):
    with (
        folder.updating(),
        pytest.raises(SettingsError, match="being updated by another command"),
        folder.updating(),
    ):
        pytest.fail("both may")
    with folder.updating():
        pass


def test_copies_of_earlier_bundles_are_forgotten_and_later_ones_stay(folder, tmp_path):
    (tmp_path / "bundle").mkdir()
    (tmp_path / "bundle" / "model.onnx").write_text("model")
    kept = [folder.keep(tmp_path / "bundle", number) for number in (1, 2, 3)]
    folder.forget_bundles(before=2)

    assert [path.exists() for path in kept] == [False, True, True]
    assert (kept[1] / "model.onnx").read_text() == "model"


def test_the_last_lines_of_a_log_are_its_end(folder):
    assert folder.last_lines() == []
    folder.log.write_text("".join(f"line {n}\n" for n in range(99999)))

    assert folder.last_lines(2) == ["line 99997", "line 99998"]


def test_endpoints_are_listed_by_name_and_half_made_ones_left_out(tmp_path):
    assert endpoints.every(tmp_path / "nowhere") == []
    for name in ("two", "one", "half"):
        made = EndpointFolder(tmp_path / name)
        made.path.mkdir()
        if name != "half":
            made.write(endpoint(name))

    assert [folder.name for folder in endpoints.every(tmp_path)] == ["one", "two"]


def test_an_unknown_name_is_answered_with_the_nearest(folder):
    folder.write(endpoint())

    assert endpoints.find(folder.path.parent, "shelf").path == folder.path
    with pytest.raises(SettingsError, match="no endpoint shelv; did you mean 'shelf'"):
        endpoints.find(folder.path.parent, "shelv")


@pytest.mark.parametrize(
    "name", ["", "-a", "a--b", "a_b", "../a", "a/b", "a" * 64, "a-" * 40 + "a"]
)
def test_names_that_no_endpoint_may_have_are_refused(name):
    with pytest.raises(SettingsError, match="must be letters, digits and single hyphens"):
        endpoints.check_name(name)


@pytest.mark.parametrize("text", ["{", "[]", '{"name": "shelf"}', json.dumps({"pid": "x"})])
def test_a_damaged_file_is_one_line_that_says_what_to_do(folder, text):
    (folder.path / "endpoint.json").write_text(text)

    with pytest.raises(RunError, match="cannot be read .*`stocktake endpoints delete shelf`"):
        folder.read()


def test_a_missing_file_is_one_line_too(folder):
    with pytest.raises(RunError, match="order.json is not there"):
        folder.order()
