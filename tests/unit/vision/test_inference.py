import numpy as np
import pytest
import torch

from stocktake.errors import DataError
from stocktake.imaging.preprocess import prepare
from stocktake.schema.checkpoints import Checkpoint
from stocktake.testing.samples import squares
from stocktake.vision import inference
from stocktake.vision.checkpoints import Keeper
from stocktake.vision.counter import make_backbone, make_counter, preprocessing_of

IDS = [f"{i}" for i in range(11)]


class Source:
    def jpegs(self, photo_ids):
        return [squares(int(i), seed=int(i)) for i in photo_ids]


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory):
    torch.manual_seed(0)
    backbone = make_backbone("test_vit", side_px=32)
    counter = make_counter(backbone, "softmax", max_count=5)
    about = Checkpoint(
        epoch=1,
        step=1,
        backbone="test_vit",
        head="softmax",
        max_count=5,
        preprocessing=preprocessing_of(backbone).to_dict(),
        weights_source="random",
    )
    keeper = Keeper(tmp_path_factory.mktemp("checkpoints") / "c")
    return keeper.save(counter, about, trainer={}, is_best=True)


@pytest.fixture(scope="module")
def photos():
    return np.stack([prepare(jpeg, 32) for jpeg in Source().jpegs(IDS)])


def test_rows_are_distributions_in_the_order_of_the_photos(checkpoint, photos):
    log_probs = inference.log_probs_of(checkpoint, photos)
    turned = inference.log_probs_of(checkpoint, photos[::-1])

    assert log_probs.shape == (11, 6)
    assert log_probs.dtype == np.float32
    assert np.allclose(np.exp(log_probs).sum(axis=1), 1, atol=1e-5)
    assert np.allclose(turned[::-1], log_probs, atol=1e-5)
    assert np.ptp(log_probs[:, 0]) > 1e-4, "photos differ, so must the answers"


@pytest.mark.parametrize("batch_size", [1, 4, 11, 64])
def test_the_batch_size_does_not_matter(checkpoint, photos, batch_size):
    whole = inference.log_probs_of(checkpoint, photos, batch_size=64)

    found = inference.log_probs_of(checkpoint, photos, batch_size=batch_size)
    assert np.allclose(found, whole, atol=1e-5)


def test_photos_in_shards_give_the_same_and_tell_of_progress(checkpoint, photos):
    told: list[int] = []
    found = inference.log_probs_of_shards(
        checkpoint, Source(), IDS, batch_size=4, on_progress=told.append
    )

    assert np.allclose(found, inference.log_probs_of(checkpoint, photos), atol=1e-5)
    assert told == [4, 8, 11]


@pytest.mark.parametrize(("views", "over"), [(2, 1), (4, 1), (4, -1)])
def test_several_views_are_blind_to_how_a_photo_is_turned(checkpoint, photos, views, over):
    there, back = (
        inference.log_probs_of(checkpoint, np.ascontiguousarray(p), views=views)
        for p in (photos, photos[:, ::over, ::-1])
    )

    assert np.allclose(there, back, atol=1e-5)
    assert np.allclose(np.exp(there).sum(axis=1), 1, atol=1e-5)
    assert not np.allclose(there, inference.log_probs_of(checkpoint, photos), atol=1e-5)


def test_no_photos_give_no_rows(checkpoint):
    assert inference.log_probs_of(checkpoint, np.empty((0, 32, 32, 3), np.uint8)).shape == (0, 6)


def test_photos_of_another_size_are_refused(checkpoint):
    with pytest.raises(DataError, match="expected uint8"):
        inference.log_probs_of(checkpoint, np.zeros((1, 64, 64, 3), np.uint8))
