import os
import tracemalloc

from stocktake.store.entries import Entries
from stocktake.store.objects import Entry


def entry(key: str, size_bytes: int = 7, version: str = '"f00"') -> Entry:
    return Entry(key=key, size_bytes=size_bytes, version=version)


def packed(*entries: Entry) -> Entries:
    made = Entries()
    for one in entries:
        made.append(one)
    return made


def test_entries_come_back_as_they_were():
    odd = [
        entry("bin-images/é 1.jpg", 5_000_000_000, ""),
        entry(os.fsdecode(b"bin-images/\xff.jpg"), 0, "12"),
        entry("a"),
    ]

    assert [*packed(*odd)] == odd
    assert len(packed(*odd)) == 3
    assert packed(*odd).key(1) == odd[1].key


def test_they_are_put_in_the_order_of_their_keys():
    keys = ["b/2", "b/10", "a.jpg", "a-b.jpg", "é", "\U0001f4e6", "\udcff"]

    for given in (keys, sorted(keys)):
        found = packed(*map(entry, given))
        assert [found.key(place) for place in found.by_key()] == sorted(keys)


def test_a_million_would_fit_into_a_hundred_megabytes():
    tracemalloc.start()
    made = Entries()
    for number in range(20_000):
        tag = f'"{number:032x}"'
        made.append(entry(f"bin-images/{number:06d}.jpg", 60_000, tag))
    size_bytes, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert size_bytes / len(made) < 100
