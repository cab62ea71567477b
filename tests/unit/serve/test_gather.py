import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from stocktake.serve.gather import Closed, Gather, QueueFull


class Held:
    """A model that answers a photo with itself, when it is told to."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.begun = threading.Semaphore(0)
        self.batches: list[list[bytes]] = []

    def __call__(self, photos):
        self.batches.append(list(photos))
        self.begun.release()
        assert self.go.wait(20)
        return list(photos)


def gather(predict, **changes) -> Gather:
    settings = {"workers": 1, "batch": 4, "wait_s": 0.0, "room": 100}
    return Gather(predict, **(settings | changes))


def test_photos_that_wait_together_go_through_together_and_keep_their_order():
    held = Held()
    made = gather(held)
    first = made.ask([b"0"])
    assert held.begun.acquire(timeout=10)

    rest = [made.ask([bytes([n])])[0] for n in range(1, 7)]
    held.go.set()

    assert [one.result(10).answer for one in rest] == [bytes([n]) for n in range(1, 7)]
    assert [len(batch) for batch in held.batches] == [1, 4, 2]
    assert first[0].result(10).batch == 1 and rest[0].result().batch == 4
    assert rest[0].result().queue_ms > 0
    made.close()


def test_a_batch_waits_for_more_as_long_as_it_is_told():
    held = Held()
    held.go.set()
    made = gather(held, wait_s=30.0, batch=2)

    one = made.ask([b"1"])[0]
    assert not one.done()
    other = made.ask([b"2"])[0]

    assert {one.result(10).answer, other.result(10).answer} == {b"1", b"2"}
    assert held.batches == [[b"1", b"2"]]
    made.close()


def test_whoever_has_an_answer_finds_room_to_ask_again():
    held = Held()
    made = gather(held, room=4)
    inside: list[int] = []
    for one in made.ask([b"1", b"2", b"3", b"4"]):
        one.add_done_callback(lambda _: inside.append(made.inside))
    held.go.set()
    made.close()

    assert inside == [0] * 4


def test_several_workers_share_what_waits_and_none_is_lost():
    made = gather(list, workers=4, batch=3, wait_s=0.002)
    with ThreadPoolExecutor(8) as pool:
        asked = [bytes([n % 256, n // 256]) for n in range(600)]
        found = list(pool.map(lambda photo: made.ask([photo])[0].result(20).answer, asked))

    assert found == asked and made.inside == 0
    made.close()


def test_a_full_queue_refuses_and_takes_again_when_there_is_room():
    held = Held()
    made = gather(held, room=2)
    inside = made.ask([b"1", b"2"])

    with pytest.raises(QueueFull, match="2 photos are waiting"):
        made.ask([b"3"])
    held.go.set()
    [one.result(10) for one in inside]
    made.close()

    assert made.inside == 0


def test_a_fault_of_the_model_is_told_to_each_photo_of_its_batch_and_the_next_is_answered(caplog):
    def predict(photos):
        if b"bad" in photos:
            raise KeyError("lost")
        return list(photos)

    made = gather(predict)

    with pytest.raises(KeyError):
        made.ask([b"bad"])[0].result(10)
    assert made.ask([b"good"])[0].result(10).answer == b"good"
    assert "batch of 1 photos failed" in caplog.text
    made.close()


def test_a_photo_nobody_waits_for_is_not_computed():
    held = Held()
    made = gather(held)
    made.ask([b"0"])
    assert held.begun.acquire(timeout=10)

    given_up, wanted = made.ask([b"1", b"2"])
    assert given_up.cancel()
    held.go.set()

    assert wanted.result(10).batch == 1
    made.close()
    assert held.batches == [[b"0"], [b"2"]] and made.inside == 0


def test_closing_answers_what_is_inside_and_refuses_the_rest():
    made = gather(list, wait_s=30.0)
    asked = made.ask([b"1", b"2"])

    made.close()

    assert [one.result(0).answer for one in asked] == [b"1", b"2"]
    with pytest.raises(Closed):
        made.ask([b"3"])


def test_whoever_gets_an_answer_finds_room_to_ask_again():
    made = gather(list, room=4, batch=4)
    refused = []

    def again(done) -> None:
        try:
            made.check_room(4)
        except QueueFull as err:
            refused.append(err)

    for _ in range(20):
        asked = made.ask([b"1", b"2", b"3", b"4"])
        for one in asked:
            one.add_done_callback(again)
        [one.result(10) for one in asked]

    made.close()
    assert not refused


def test_a_photo_that_breaks_the_model_hurts_no_other_of_its_batch():
    go = threading.Event()

    def predict(photos):
        assert go.wait(10)
        if b"bad" in photos:
            raise KeyError("lost")
        return list(photos)

    made = gather(predict, wait_s=0.2, batch=3)
    good, bad, other = made.ask([b"1", b"bad", b"2"])
    go.set()

    assert (good.result(10).answer, other.result(10).answer) == (b"1", b"2")
    with pytest.raises(KeyError):
        bad.result(10)
    made.close()
