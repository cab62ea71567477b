"""Painter: a folder laid out like the dataset's bucket, painted by several processes.

`bin-images/ID.jpg` and `metadata/ID.json`; on demand `masks/ID.png` and `masks/ID.json`, which say
what shows where. A photo that is there is whole, and what belongs to it is there too; what a
stopped painter left is taken up by the next one.
"""

import json
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable, Generator, Iterator
from contextlib import closing, contextmanager
from dataclasses import asdict, dataclass, field
from multiprocessing import get_context
from multiprocessing.connection import Connection, wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

from stocktake.bins import catalog, draw, masks, mix, scene
from stocktake.errors import DataError, StocktakeError, from_os

PHOTOS, METADATA, MASKS = "bin-images", "metadata", "masks"
ORDER_FILE = "painted.json"
FORMAT = "painted/2"
ROUGH = ".painting"
"""Where files are written before they get their name."""
PORTION = 20
"""Photos given to a process at a time, about half a second of work."""
PHOTOS_WORTH_A_PROCESS = 40
"""A process takes a third of a second to start, as long as some ten photos."""
PATIENCE_S = 10.0

Told = Callable[[int, int], None]
"""Called with the number of photos there and the number wanted."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Order:
    """Which photos a folder holds: all that the pixels depend on, and whether masks are wanted."""

    photos: int
    """Number of photos, 1 or more."""
    seed: int
    """What sets one warehouse apart from another."""
    max_count: int = mix.MAX_COUNT
    """Highest count, 1 to 10."""
    long_side_px: int = 0
    """Pixels of the longer side; 0 for sizes as ABID has them."""
    masks: bool = False
    """Whether a mask lies beside each photo; no photo depends on it."""

    def looks(self) -> dict[str, Any]:
        """What the pixels depend on, with the format; what painted.json holds."""
        row = {"format": FORMAT, **asdict(self)}
        del row["masks"]
        return row


@dataclass(kw_only=True, slots=True)
class Painted:
    """What a folder holds, or a part of it."""

    photos: int = 0
    """Photos in the folder."""
    found: int = 0
    """Photos of these that an earlier, stopped painter left."""
    items: int = 0
    """Items in all photos together."""
    size_bytes: int = 0
    """Size of all photos."""
    photos_by_count: Counter[int] = field(default_factory=Counter)
    """Photos by true count."""

    def add(self, other: "Painted") -> None:
        """Take another part in."""
        self.photos += other.photos
        self.found += other.found
        self.items += other.items
        self.size_bytes += other.size_bytes
        self.photos_by_count.update(other.photos_by_count)


def paint(
    folder: Path, order: Order, *, processes: int = 1, told: Told = lambda done, total: None
) -> Painted:
    """Fill a folder with painted photos; the bytes are the same whatever `processes` is.

    Args:
        processes: how many at most; few photos are painted by fewer. 1 starts none.
        told: called after every portion.

    Raises:
        DataError: if the folder holds photos painted to another order.
        StocktakeError: if the folder cannot be written, the disk is full, or a process dies.
    """
    whole = Painted()
    try:
        _open(folder, order)
        portions = list(_portions(order.photos))
        hands = min(processes, -(-order.photos // PHOTOS_WORTH_A_PROCESS))
        parts = (
            _by_many(folder, order, portions, hands)
            if hands > 1
            else (paint_portion(folder, order, portion) for portion in portions)
        )
        with closing(parts):  # the processes end before their rough files are swept away
            for part in parts:
                whole.add(part)
                told(whole.photos, order.photos)
    except OSError as err:
        raise from_os(err) from err
    finally:
        shutil.rmtree(folder / ROUGH, ignore_errors=True)
    return whole


def paint_portion(
    folder: Path, order: Order, portion: range, *, stop: Callable[[], bool] = lambda: False
) -> Painted:
    """Paint those photos that are not there yet; between two photos `stop` may end it."""
    part = Painted()
    for number in portion:
        if stop():
            break
        found = scene.scene(order.seed, number, max_count=order.max_count)
        size = _size_there(folder, found.photo_id, with_mask=order.masks)
        if size:
            part.found += 1
        else:
            jpeg = draw.jpeg(found, long_side_px=order.long_side_px)
            size = len(jpeg)
            if order.masks:
                _write_mask(folder, found, order.long_side_px)
            _write(folder, f"{METADATA}/{found.photo_id}.json", metadata(found).encode())
            _write(folder, f"{PHOTOS}/{found.photo_id}.jpg", jpeg)
        part.photos += 1
        part.size_bytes += size
        part.items += found.count
        part.photos_by_count[found.count] += 1
    return part


def metadata(found: scene.Scene) -> str:
    """The text of metadata/ID.json, in the form that ABID's files have."""
    records = {}
    for number, quantity in found.quantities().items():
        product = catalog.product(number)
        records[product.asin] = catalog.record(product, quantity)
    row: dict[str, Any] = {"BIN_FCSKU_DATA": records, "EXPECTED_QUANTITY": found.count}
    return json.dumps(row, indent=4, sort_keys=True)


def _open(folder: Path, order: Order) -> None:
    """Make the folders and write the order down; refuse a folder of another order."""
    for name in (PHOTOS, METADATA, ROUGH, *((MASKS,) if order.masks else ())):
        (folder / name).mkdir(parents=True, exist_ok=True)
    wanted = order.looks()
    try:
        there = json.loads((folder / ORDER_FILE).read_text(encoding="utf-8"))
    except FileNotFoundError:
        there = wanted
        if any((folder / PHOTOS).iterdir()):
            there = "unknown photos"
    except ValueError:
        there = "something unreadable"
    if there != wanted:
        raise DataError(
            f"{folder} was painted to another order ({there}); name an empty folder or remove it"
        )
    _write(folder, ORDER_FILE, (json.dumps(wanted, indent=2) + "\n").encode())


def _size_there(folder: Path, photo_id: str, *, with_mask: bool) -> int:
    """Bytes of a photo that an earlier painter left with all that belongs to it, else 0."""
    try:
        if with_mask and not (
            (folder / MASKS / f"{photo_id}.png").stat().st_size
            and (folder / MASKS / f"{photo_id}.json").stat().st_size
        ):
            return 0
        (folder / METADATA / f"{photo_id}.json").stat()
        return (folder / PHOTOS / f"{photo_id}.jpg").stat().st_size
    except FileNotFoundError:
        return 0


def _write_mask(folder: Path, found: scene.Scene, long_side_px: int) -> None:
    labels = masks.labels(found, long_side_px=long_side_px)
    _write(folder, f"{MASKS}/{found.photo_id}.json", masks.record(found, labels).encode())
    _write(folder, f"{MASKS}/{found.photo_id}.png", masks.png(labels))


def _write(folder: Path, name: str, content: bytes) -> None:
    rough = folder / ROUGH / f"{os.getpid()}-{name.replace('/', '-')}"
    rough.write_bytes(content)
    rough.replace(folder / name)


def _portions(photos: int) -> Iterator[range]:
    for first in range(0, photos, PORTION):
        yield range(first, min(first + PORTION, photos))


def _by_many(
    folder: Path, order: Order, portions: list[range], hands: int
) -> Generator[Painted, None, None]:
    """Paint in processes of their own, which stop between two photos when this one stops or dies.

    A process that hears nothing more through its pipe ends, so none outlives its parent.
    """
    started = [_start(folder, order) for _ in range(hands)]
    pipes = [pipe for _, pipe in started]
    waiting = iter(portions)
    try:
        busy = {pipe for pipe in pipes if _give(pipe, waiting)}
        while busy:
            for pipe in wait(list(busy)):
                assert isinstance(pipe, Connection)
                part = _heard(pipe)
                yield part
                if not _give(pipe, waiting):
                    busy.discard(pipe)
    finally:
        for pipe in pipes:
            pipe.close()
        for process, _ in started:
            process.join(PATIENCE_S)
            if process.is_alive():
                process.kill()
                process.join()


def _start(folder: Path, order: Order) -> tuple[BaseProcess, Connection]:
    """A new process and the pipe to it. It is a fresh interpreter: forks of torch's hang."""
    context = get_context("spawn")
    ours, theirs = context.Pipe()
    process = context.Process(target=_hand, args=(theirs, str(folder), order), daemon=True)
    with _no_interrupt():
        process.start()
    theirs.close()
    return process, ours


@contextmanager
def _no_interrupt() -> Iterator[None]:
    """Hold Ctrl-C back; a process started meanwhile never hears it, for the mask is inherited."""
    before = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGINT])
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _give(pipe: Connection, waiting: Iterator[range]) -> bool:
    """Send the next portion; False if there is none."""
    portion = next(waiting, None)
    if portion is None:
        return False
    try:
        pipe.send(portion)
    except ConnectionError:
        raise _died() from None
    return True


def _heard(pipe: Connection) -> Painted:
    try:
        part = pipe.recv()
    except (EOFError, ConnectionError):
        raise _died() from None
    if isinstance(part, Exception):
        raise part
    assert isinstance(part, Painted)
    return part


def _died() -> StocktakeError:
    return StocktakeError(
        "a painting process died (out of memory, perhaps); what is painted stays: run it again,"
        " with fewer processes"
    )


def _hand(pipe: Connection, folder: str, order: Order) -> None:
    """What a process does: paint portions until the pipe closes."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        while True:
            portion = pipe.recv()
            try:
                part: Painted | OSError = paint_portion(
                    Path(folder), order, portion, stop=pipe.poll
                )
            except OSError as err:
                part = err
            pipe.send(part)
    except (EOFError, ConnectionError):
        return
