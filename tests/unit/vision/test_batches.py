from collections.abc import Sequence

import numpy as np
import pytest
import torch

from stocktake.errors import DataError
from stocktake.imaging.preprocess import Preprocessing, normalise, prepare
from stocktake.testing.samples import squares
from stocktake.vision.augments import augments
from stocktake.vision.batches import Batches, Pixels
from stocktake.vision.rows import Fold

PREPROCESSING = Preprocessing(side_px=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))
IDS = [f"{i:03d}" for i in range(23)]
FOLD = Fold(photo_ids=IDS, counts=np.arange(23, dtype=np.int64) % 4)


class Source:
    """Photos made on the spot; counts how often each was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def jpegs(self, photo_ids: Sequence[str]) -> list[bytes]:
        self.asked += photo_ids
        return [b"broken" if i == "bad" else squares(int(i) % 4, seed=int(i)) for i in photo_ids]


def batches(augment: str | None = None, *, source: Source | None = None, **options) -> Batches:
    pixels = Pixels(source or Source(), IDS, side_px=32)
    change = augments.make(augment) if augment else None
    settings = {"preprocessing": PREPROCESSING, "batch_size": 5, **options}
    return Batches(pixels, FOLD, augment=change, **settings)


def test_a_batch_is_what_serving_would_prepare():
    (first, *_) = batches().epoch(0)
    photos = np.stack([prepare(squares(int(i) % 4, seed=int(i)), 32) for i in IDS[:5]])

    assert first.photo_ids == IDS[:5]
    assert first.counts.tolist() == [0, 1, 2, 3, 0]
    assert first.photos.shape == (5, 3, 32, 32)
    assert np.allclose(first.photos.numpy(), normalise(photos, PREPROCESSING), atol=1e-5)


def test_photos_lie_channels_last_in_memory():
    (first, *_) = batches("standard").epoch(1)

    assert first.photos.is_contiguous(memory_format=torch.channels_last)


def test_validation_sees_every_photo_once_in_order():
    made = list(batches().epoch(3))

    assert [i for batch in made for i in batch.photo_ids] == IDS
    assert [len(batch.counts) for batch in made] == [5, 5, 5, 5, 3]
    assert len(batches()) == 5


def test_training_leaves_out_the_incomplete_batch_and_repeats_no_photo():
    made = [i for batch in batches("none").epoch(1) for i in batch.photo_ids]

    assert len(made) == len(set(made)) == 20
    assert len(batches("none")) == 4


def test_a_fold_smaller_than_a_batch_is_one_batch():
    assert [len(b.counts) for b in batches("none", batch_size=64).epoch(1)] == [23]


def test_counts_stay_with_their_photos_when_shuffled():
    for batch in batches("none").epoch(2):
        assert batch.counts.tolist() == [int(i) % 4 for i in batch.photo_ids]


def test_same_seed_and_epoch_give_the_same_pixels():
    first, second = (list(batches("standard", seed=4).epoch(2)) for _ in range(2))

    assert all(torch.equal(a.photos, b.photos) for a, b in zip(first, second, strict=True))


def test_another_epoch_or_seed_gives_another_order():
    orders = [batches("none", seed=s).order(e).tolist() for s, e in ((0, 1), (0, 2), (1, 1))]

    assert orders[0] != orders[1] and orders[0] != orders[2]


def test_no_two_batches_of_any_epochs_share_their_chance():
    seeds: list[int] = []

    def listening(photos: torch.Tensor, generator: torch.Generator) -> torch.Tensor:
        seeds.append(generator.initial_seed())
        return photos

    pixels = Pixels(Source(), IDS, side_px=32)
    for seed in (0, 1):
        loader = Batches(
            pixels, FOLD, preprocessing=PREPROCESSING, batch_size=5, augment=listening, seed=seed
        )
        for epoch in (1, 2):
            list(loader.epoch(epoch))

    assert len(seeds) == len(set(seeds)) == 16


def test_an_epoch_can_be_entered_in_the_middle():
    whole = list(batches("standard").epoch(1))
    rest = list(batches("standard").epoch(1, start=2))

    assert len(rest) == len(whole) - 2
    assert all(torch.equal(a.photos, b.photos) for a, b in zip(whole[2:], rest, strict=True))


def test_each_photo_is_decoded_once():
    source = Source()
    loader = batches(source=source)
    first, second = list(loader.epoch(0)), list(loader.epoch(1))

    assert sorted(source.asked) == IDS
    assert all(torch.equal(a.photos, b.photos) for a, b in zip(first, second, strict=True))


def test_augmentation_leaves_kept_pixels_alone():
    pixels = Pixels(Source(), IDS, side_px=32)
    before = pixels.take(IDS).copy()
    loader = Batches(
        pixels, FOLD, preprocessing=PREPROCESSING, batch_size=5, augment=augments.make("standard")
    )
    list(loader.epoch(1))

    assert np.array_equal(pixels.take(IDS), before)


def test_photos_beyond_the_budget_are_decoded_again_and_the_same():
    source = Source()
    kept, fresh = (
        Pixels(source, IDS, side_px=32, cache_bytes=size) for size in (23 * 3 * 32 * 32, 70_000)
    )

    assert kept.is_cached and not fresh.is_cached
    assert np.array_equal(kept.take(IDS[3:9]), fresh.take(IDS[3:9]))
    assert np.array_equal(fresh.take(IDS[:2]), fresh.take(IDS[:2]))
    assert source.asked.count("000") == 2


def test_a_broken_photo_is_named():
    pixels = Pixels(Source(), ["001", "bad"], side_px=32)

    with pytest.raises(DataError, match="photo bad: .*ingest the photos again"):
        pixels.take(["001", "bad"])


def test_leaving_an_epoch_early_ends_its_threads():
    import threading

    before = threading.active_count()
    epoch = batches("standard", batch_size=2).epoch(1)
    next(epoch)
    epoch.close()

    assert threading.active_count() == before
