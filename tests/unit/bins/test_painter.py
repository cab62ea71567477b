import errno
import hashlib
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from stocktake.bins import painter
from stocktake.bins.painter import Order
from stocktake.bins.scene import scene
from stocktake.errors import DataError, StocktakeError

MEASURE = {"unit": str, "value": float}
ITEM = {
    "asin": str,
    "height": MEASURE,
    "length": MEASURE,
    "name": str,
    "normalizedName": str,
    "quantity": int,
    "weight": MEASURE,
    "width": MEASURE,
}
"""Keys and kinds of values of all 23,162 items in ABID's metadata, ids 00001-09999; null may stand
for a size, a weight or a name. Sizes are in IN, weights in pounds, all values are floats."""
UNITS = {"height": "IN", "length": "IN", "width": "IN", "weight": "pounds"}


def small(photos, **wants):
    return Order(**{"photos": photos, "seed": 4, "long_side_px": 80} | wants)


def digests(folder):
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.parent != folder
    }


def stop_after(portions):
    def told(done, total):
        nonlocal portions
        portions -= 1
        if not portions:
            raise KeyboardInterrupt

    return told


def test_a_folder_is_laid_out_like_the_bucket(tmp_path):
    painted = painter.paint(tmp_path, small(5))

    ids = [f"{n:05d}" for n in range(1, 6)]
    assert sorted(file.name for file in (tmp_path / "bin-images").iterdir()) == [
        f"{photo}.jpg" for photo in ids
    ]
    assert sorted(file.name for file in (tmp_path / "metadata").iterdir()) == [
        f"{photo}.json" for photo in ids
    ]
    assert painted.photos == painted.photos_by_count.total() == 5
    assert painted.size_bytes == sum(f.stat().st_size for f in (tmp_path / "bin-images").iterdir())


def test_metadata_has_the_schema_of_abid():
    for photo in range(150):
        found = scene(4, photo)
        row = json.loads(painter.metadata(found))

        assert list(row) == ["BIN_FCSKU_DATA", "EXPECTED_QUANTITY"]
        assert type(row["EXPECTED_QUANTITY"]) is int
        for asin, item in row["BIN_FCSKU_DATA"].items():
            assert item["asin"] == asin
            assert list(item) == list(ITEM)
            for key, kind in ITEM.items():
                if kind is MEASURE and item[key] is not None:
                    assert {name: type(value) for name, value in item[key].items()} == MEASURE
                    assert item[key]["unit"] == UNITS[key]
                elif kind is not MEASURE:
                    assert type(item[key]) is kind


def test_the_metadata_counts_what_the_scene_holds():
    for photo in range(300):
        found = scene(4, photo)
        row = json.loads(painter.metadata(found))

        assert row["EXPECTED_QUANTITY"] == len(found.items)
        quantities = [item["quantity"] for item in row["BIN_FCSKU_DATA"].values()]
        assert sum(quantities) == len(found.items)
        assert 0 not in quantities


def test_an_empty_bin_has_no_items_on_record():
    empty = next(found for found in (scene(4, n) for n in range(2000)) if not found.count)

    assert json.loads(painter.metadata(empty)) == {"BIN_FCSKU_DATA": {}, "EXPECTED_QUANTITY": 0}


def test_bytes_are_the_same_whatever_the_number_of_processes(tmp_path):
    found = []
    for processes in (1, 3):
        folder = tmp_path / str(processes)
        painted = painter.paint(folder, small(130), processes=processes)
        found.append((digests(folder), painted))

    assert len(found[0][0]) == 260
    assert found[0] == found[1]


def test_a_photo_is_the_same_however_many_there_are(tmp_path):
    painter.paint(tmp_path / "few", small(3))
    painter.paint(tmp_path / "more", small(23))
    few, more = digests(tmp_path / "few"), digests(tmp_path / "more")

    assert few.items() <= more.items()
    assert len(more) == 46


@pytest.mark.parametrize("processes", [1, 2])
def test_a_stopped_painter_leaves_whole_photos_that_the_next_one_keeps(tmp_path, processes):
    order = small(100)
    with pytest.raises(KeyboardInterrupt):
        painter.paint(tmp_path / "a", order, processes=processes, told=stop_after(2))
    left = digests(tmp_path / "a")

    assert multiprocessing.active_children() == []
    assert not (tmp_path / "a" / painter.ROUGH).exists()
    painted = painter.paint(tmp_path / "a", order, processes=processes)
    painter.paint(tmp_path / "b", order)
    assert painted.photos == 100
    assert painted.found == len([name for name in left if name.endswith(".jpg")]) >= 40
    assert left.items() <= digests(tmp_path / "b").items()
    assert digests(tmp_path / "a") == digests(tmp_path / "b")


def test_an_empty_file_and_a_photo_without_metadata_are_painted_again(tmp_path):
    painter.paint(tmp_path, small(4))
    before = digests(tmp_path)
    (tmp_path / "bin-images" / "00002.jpg").write_bytes(b"")
    (tmp_path / "metadata" / "00003.json").unlink()

    assert painter.paint(tmp_path, small(4)).found == 2
    assert digests(tmp_path) == before


@pytest.mark.parametrize("wants", [{"seed": 5}, {"max_count": 3}, {"long_side_px": 90}])
def test_a_folder_of_another_order_is_refused(tmp_path, wants):
    painter.paint(tmp_path, small(3))
    before = digests(tmp_path)

    with pytest.raises(DataError, match="another order") as caught:
        painter.paint(tmp_path, small(3, **wants))
    assert "\n" not in str(caught.value)
    assert digests(tmp_path) == before


def test_photos_of_unknown_origin_are_refused(tmp_path):
    (tmp_path / "bin-images").mkdir()
    (tmp_path / "bin-images" / "00001.jpg").write_bytes(b"someone's")

    with pytest.raises(DataError, match="unknown photos"):
        painter.paint(tmp_path, small(3))
    assert (tmp_path / "bin-images" / "00001.jpg").read_bytes() == b"someone's"


def test_a_place_that_cannot_be_written_is_told_in_one_line(tmp_path):
    (tmp_path / "bin-images").write_text("a file")

    with pytest.raises(StocktakeError) as caught:
        painter.paint(tmp_path, small(3))
    assert "bin-images" in str(caught.value) and "\n" not in str(caught.value)


def test_a_full_disk_is_told_in_one_line_and_leaves_no_half_photo(tmp_path, monkeypatch):
    write = Path.write_bytes
    room = [30_000]

    def fill(file, content):
        part = content[: max(0, room[0])]
        room[0] -= len(content)
        write(file, part)
        if len(part) < len(content):
            raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_bytes", fill)
    with pytest.raises(StocktakeError, match="the disk is full"):
        painter.paint(tmp_path / "a", small(60))
    monkeypatch.undo()

    left = digests(tmp_path / "a")
    painter.paint(tmp_path / "b", small(60))
    assert 4 < len(left) < 120
    assert left.items() <= digests(tmp_path / "b").items()


def test_what_goes_wrong_in_a_process_is_told_by_the_painter(tmp_path):
    """Its folder goes away under it, as it would on a disk that is pulled out."""

    def told(done, total):
        for file in (tmp_path / "metadata").iterdir():
            file.unlink(missing_ok=True)
        (tmp_path / "metadata").rmdir()

    with pytest.raises(StocktakeError, match="metadata") as caught:
        painter.paint(tmp_path, small(200), processes=2, told=told)
    assert "\n" not in str(caught.value)
    assert multiprocessing.active_children() == []


def test_a_process_that_is_killed_is_told(tmp_path):
    def told(done, total):
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGKILL)

    with pytest.raises(StocktakeError, match="a painting process died"):
        painter.paint(tmp_path, small(200), processes=2, told=told)
    assert multiprocessing.active_children() == []


def alive(session):
    """Processes of a session that still run, by /proc."""
    found = []
    for file in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, _, of = file.read_text().rpartition(")")[2].split()[:4]
        except OSError:
            continue
        if int(of) == session and state != "Z":
            found.append(file.parent.name)
    return found


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
def test_no_process_outlives_a_killed_painter(tmp_path):
    code = (
        "import sys; from pathlib import Path; from stocktake.bins import painter\n"
        "order = painter.Order(photos=50_000, seed=1, long_side_px=80)\n"
        "told = lambda done, total: print(done, flush=True)\n"
        "painter.paint(Path(sys.argv[1]), order, processes=2, told=told)"
    )
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdout=subprocess.PIPE, start_new_session=True
    )
    assert process.stdout is not None and process.stdout.readline()
    assert len(alive(process.pid)) >= 3
    process.kill()
    process.wait()
    process.stdout.close()

    until = time.monotonic() + 10
    while (left := alive(process.pid)) and time.monotonic() < until:
        time.sleep(0.1)
    assert left == []


def test_masks_lie_beside_the_photos_and_change_none_of_them(tmp_path):
    painter.paint(tmp_path / "without", small(50))
    painter.paint(tmp_path / "one", small(50, masks=True))
    painter.paint(tmp_path / "two", small(50, masks=True), processes=2)
    without, one = digests(tmp_path / "without"), digests(tmp_path / "one")

    assert one == digests(tmp_path / "two")
    assert without.items() <= one.items()
    assert sorted(one.keys() - without.keys()) == sorted(
        f"masks/{n:05d}.{end}" for n in range(1, 51) for end in ("json", "png")
    )


def test_a_photo_counts_as_found_only_with_its_mask_when_masks_are_asked_for(tmp_path):
    painter.paint(tmp_path, small(4))
    assert painter.paint(tmp_path, small(4, masks=True)).found == 0
    before = digests(tmp_path)
    (tmp_path / "masks" / "00002.png").unlink()
    (tmp_path / "masks" / "00003.json").write_bytes(b"")

    assert painter.paint(tmp_path, small(4, masks=True)).found == 2
    assert digests(tmp_path) == before
