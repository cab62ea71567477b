import numpy as np
import pytest
import torch
from drawn import Drawn

from stocktake.errors import DataError
from stocktake.imaging.preprocess import Preprocessing, normalise, prepare
from stocktake.testing.samples import squares
from stocktake.vision.augments import augments
from stocktake.vision.batches import Batch, Batches
from stocktake.vision.order import Order
from stocktake.vision.pixels import Pixels
from stocktake.vision.rows import Fold

PREPROCESSING = Preprocessing(side_px=32, mean=(0.4, 0.5, 0.6), std=(0.2, 0.25, 0.5))
IDS = [f"{i:03d}" for i in range(23)]
FOLD = Fold(photo_ids=IDS, counts=np.arange(23, dtype=np.int64) % 4)


def batches(
    augment: str | None = None, *, source: Drawn | None = None, workers: int = 2, **options
) -> Batches:
    settings = {"batch_size": 5, "is_shuffled": augment is not None, **options}
    return Batches(
        Pixels(source or Drawn(), IDS, side_px=32),
        FOLD,
        Order(len(IDS), **settings),
        preprocessing=PREPROCESSING,
        augment=augments.make(augment) if augment else None,
        workers=workers,
    )


def same(first: list[Batch], second: list[Batch]) -> bool:
    return all(
        a.photo_ids == b.photo_ids
        and torch.equal(a.photos, b.photos)
        and torch.equal(a.counts, b.counts)
        for a, b in zip(first, second, strict=True)
    )


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


@pytest.mark.parametrize("augment", ["standard", "report", None])
def test_batches_are_the_same_whatever_the_number_of_workers(augment):
    made = [list(batches(augment, workers=workers).epoch(1)) for workers in (1, 2, 7)]

    assert same(made[0], made[1]) and same(made[0], made[2])


def test_ranks_share_the_batches_of_one_process():
    whole = list(batches("standard", batch_size=6).epoch(2))
    shares = [
        list(batches("standard", batch_size=6, share=(rank, 3)).epoch(2)) for rank in range(3)
    ]

    for batch, parts in zip(whole, zip(*shares, strict=True), strict=True):
        for rank, part in enumerate(parts):
            assert part.photo_ids == batch.photo_ids[rank::3]
            assert torch.equal(part.photos, batch.photos[rank::3])
            assert torch.equal(part.counts, batch.counts[rank::3])


def test_an_epoch_can_be_entered_in_the_middle():
    whole = list(batches("standard").epoch(1))
    rest = list(batches("standard").epoch(1, start=2))

    assert len(rest) == len(whole) - 2
    assert same(whole[2:], rest)


def test_each_photo_is_decoded_once():
    source = Drawn()
    loader = batches(source=source)

    assert same(list(loader.epoch(0)), list(loader.epoch(1)))
    assert sorted(source.asked) == IDS


def test_augmentation_leaves_kept_pixels_alone():
    loader = batches("standard")
    first = list(loader.epoch(1))
    list(loader.epoch(2))

    assert same(first, list(loader.epoch(1)))


def test_a_broken_photo_ends_the_epoch_and_is_named():
    fold = Fold(photo_ids=["001", "bad"], counts=np.zeros(2, dtype=np.int64))
    loader = Batches(
        Pixels(Drawn(), fold.photo_ids, side_px=32),
        fold,
        Order(2, batch_size=2),
        preprocessing=PREPROCESSING,
    )

    with pytest.raises(DataError, match="photo bad: .*ingest the photos again"):
        list(loader.epoch(0))


def test_workers_leave_the_threads_of_the_arithmetic_alone():
    before = torch.get_num_threads()
    list(batches("standard").epoch(1))

    assert torch.get_num_threads() == before


def test_leaving_an_epoch_early_ends_its_threads():
    import threading

    before = threading.active_count()
    epoch = batches("standard", batch_size=2).epoch(1)
    next(epoch)
    epoch.close()

    assert threading.active_count() == before
