"""How fast photos become batches: ours beside ImageFolder, PIL transforms and a DataLoader.

Claims: at least 1.5 times as fast straight from originals; at least 3 times over a training of 20
epochs, the one shrinking at ingest counted in; batches the same whatever the number of workers;
peak memory flat at ten times the data.
Both sides read the same photo files, use two workers, squash to 224 px, mirror, change brightness
and contrast and normalise; nobody consumes the batches, so this is the loader's own speed.
"""

import argparse
import multiprocessing
import os
import shutil
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

SIDE_PX = 224
BATCH = 32
WORKERS = 2
EPOCHS = 20
MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)


def ingested(source: Path, folder: Path, side_px: int) -> Path:
    """Shards of the photos in `source`, shrunk so that both sides have side_px; 0 keeps them."""
    from stocktake.runs.job import Job
    from stocktake.stages import worker

    settings = {"source": str(source), "side_px": side_px, "squash": bool(side_px)}
    run = worker.run_job(
        Job(stage="ingest", settings=settings, inputs={}, output=str(folder / "ingest"))
    )
    return run.artifact("photos")


def ours(shards: Path, cache_bytes: int, workers: int = WORKERS) -> Any:
    """Batches of every photo in these shards."""
    from stocktake.imaging.preprocess import Preprocessing
    from stocktake.store.shards import PhotoShards
    from stocktake.vision.augments import augments
    from stocktake.vision.batches import Batches
    from stocktake.vision.order import Order
    from stocktake.vision.pixels import Pixels
    from stocktake.vision.rows import Fold

    photos = PhotoShards.open(shards)
    counts = photos.rows(["jpeg", "items"])["count"].to_numpy()
    fold = Fold(photo_ids=photos.photo_ids, counts=counts.astype("int64"))
    return Batches(
        Pixels(photos, fold.photo_ids, side_px=SIDE_PX, cache_bytes=cache_bytes),
        fold,
        Order(len(photos), batch_size=BATCH, is_shuffled=True),
        preprocessing=Preprocessing(side_px=SIDE_PX, mean=MEAN, std=STD),
        augment=augments.make("report"),
        workers=workers,
    )


def image_folder(source: Path, folder: Path) -> Any:
    """The usual way: photos in a folder per class, PIL transforms, worker processes."""
    from torch.utils.data import DataLoader

    from stocktake.data.listing import list_all
    from stocktake.data.metadata import parse
    from stocktake.store.address import open_store
    from stocktake.vision.backbones.timm_models import timm_library

    timm_library()  # torchvision does not import without what this defines
    from torchvision import transforms
    from torchvision.datasets import ImageFolder

    for listed in list_all(open_store(str(source))).photos:
        count = parse((source / str(listed.metadata_key)).read_bytes()).count
        by_class = folder / str(count)
        by_class.mkdir(parents=True, exist_ok=True)
        shutil.copy(source / str(listed.photo_key), by_class)
    change = transforms.Compose(
        [
            transforms.Resize((SIDE_PX, SIDE_PX)),
            transforms.RandomHorizontalFlip(),
            transforms.ColorJitter(brightness=0.2, contrast=0.2),
            transforms.ToTensor(),
            transforms.Normalize(MEAN, STD),
        ]
    )
    return DataLoader(
        ImageFolder(str(folder), change),
        batch_size=BATCH,
        shuffle=True,
        drop_last=True,
        num_workers=WORKERS,
        persistent_workers=True,
    )


def seconds(work: Callable[[], object]) -> float:
    """How long it takes, wall clock."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def drained(batches: Iterator[Any]) -> int:
    """Number of batches, each looked at and let go."""
    return sum(1 for _ in batches)


def race(source: Path, folder: Path, rounds: int) -> dict[str, list[float]]:
    """Seconds of one epoch, and of a training of 20, side by side in alternation."""
    usual = image_folder(source, folder / "classes")
    originals = ours(ingested(source, folder / "whole", 0), cache_bytes=0)
    drained(iter(usual))  # starts the workers and warms the disk's cache
    drained(originals.epoch(0))

    def small(cache_bytes: int) -> None:
        shrunk = folder / "small"
        shutil.rmtree(shrunk, ignore_errors=True)
        batches = ours(ingested(source, shrunk, SIDE_PX), cache_bytes)
        for epoch in range(EPOCHS):
            drained(batches.epoch(epoch))

    sides: dict[str, Callable[[], object]] = {
        "one epoch: ImageFolder": lambda: drained(iter(usual)),
        "one epoch: ours, from originals": lambda: drained(originals.epoch(1)),
        f"{EPOCHS} epochs: ImageFolder": lambda: [drained(iter(usual)) for _ in range(EPOCHS)],
        f"{EPOCHS} epochs: ours, shrunk at ingest, decoded each epoch": lambda: small(0),
        f"{EPOCHS} epochs: ours, shrunk at ingest, kept decoded": lambda: small(2**31),
    }
    times: dict[str, list[float]] = {name: [] for name in sides}
    for _ in range(rounds):
        for name, work in sides.items():
            times[name].append(seconds(work))
    return times


def same_batches(shards: Path) -> bool:
    """Whether 1, 2 and 5 workers make equal batches."""
    import torch

    made = [list(islice(ours(shards, 0, workers).epoch(3), 8)) for workers in (1, 2, 5)]
    return all(
        a.photo_ids == b.photo_ids and torch.equal(a.photos, b.photos)
        for other in made[1:]
        for a, b in zip(made[0], other, strict=True)
    )


def multiplied(source: Path, folder: Path, times: int) -> Path:
    """A folder in the same layout with each photo that many times, as links under new ids."""
    for name, ending in (("bin-images", "jpg"), ("metadata", "json")):
        (folder / name).mkdir(parents=True)
        for path in sorted((source / name).iterdir()):
            for again in range(times):
                os.link(path.resolve(), folder / name / f"{path.stem}{again:03d}.{ending}")
    return folder


def peak_mb(shards: Path) -> tuple[int, float]:
    """(photos, peak resident memory in MB) of a process that makes one epoch of batches."""
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        found: tuple[int, float] = pool.apply(_peak, (shards,))
    return found


def _peak(shards: Path) -> tuple[int, float]:
    batches = ours(shards, cache_bytes=0)
    made = drained(batches.epoch(1))
    status = Path("/proc/self/status").read_text()  # ru_maxrss would be the parent's after a fork
    return made * BATCH, int(status.split("VmHWM:")[1].split()[0]) / 1000


def painted(folder: Path) -> Path:
    """700 painted photos, of the sizes that real ones have."""
    from stocktake.bins import painter

    painter.paint(folder, painter.Order(photos=700, seed=0), processes=WORKERS)
    return folder


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--source", type=Path, help="bin-images/ and metadata/; else painted bins")
    parser.add_argument("--rounds", type=int, default=3, help="times each side is measured")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        source = given.source or painted(folder / "painted")
        photos = len(list((source / "bin-images").iterdir()))
        times = race(source, folder, given.rounds)
        print(f"{photos} photos, {given.rounds} rounds in alternation, {WORKERS} workers a side\n")
        print("| | photos/s | median s | min s | max s | times ImageFolder |")
        print("|---|--:|--:|--:|--:|--:|")
        usual = 1.0
        for name, found in times.items():
            middle = statistics.median(found)
            usual = middle if "ImageFolder" in name else usual
            each = photos // BATCH * BATCH * (EPOCHS if name.startswith(f"{EPOCHS} ") else 1)
            print(
                f"| {name} | {each / middle:.0f} | {middle:.2f} | {min(found):.2f}"
                f" | {max(found):.2f} | {usual / middle:.1f} |"
            )
        shards = folder / "whole" / "ingest" / "artifacts" / "photos"
        print(f"\nbatches of 1, 2 and 5 workers are equal: {same_batches(shards)}")
        tenfold = ingested(multiplied(source, folder / "tenfold", 10), folder / "ten", 0)
        for path in (shards, tenfold):
            size_mb = sum(file.stat().st_size for file in path.iterdir()) / 1e6
            seen, peak = peak_mb(path)
            print(f"{seen} photos from {size_mb:.0f} MB of shards: peak memory {peak:.0f} MB")


if __name__ == "__main__":
    main()
