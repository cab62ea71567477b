import numpy as np
import pytest
import torch
from small import IDS, Kept, batches, counter, plan
from torch import nn

from stocktake.vision.features import FeatureBatches, FeatureStore, features_of
from stocktake.vision.fitting import fit
from stocktake.vision.order import Order
from stocktake.vision.rows import Fold

FOLD = Fold(photo_ids=IDS[:48], counts=np.array([int(i) % 4 for i in IDS[:48]]))
REST = Fold(photo_ids=IDS[48:], counts=np.array([int(i) % 4 for i in IDS[48:]]))


def test_features_are_the_backbones_whatever_the_batch():
    model = counter().train()
    made = [features_of(model.backbone, batches(IDS, size=size)) for size in (5, 64)]
    model.eval()
    (whole,) = batches(IDS, size=64).epoch(0)

    assert all(ids == IDS for ids, _ in made)
    with torch.no_grad():
        assert np.allclose(made[1][1], model.backbone(whole.photos).numpy(), atol=1e-6)
    assert np.allclose(made[0][1], made[1][1], atol=1e-5)


def test_the_mode_of_the_backbone_is_given_back():
    model = counter().train()
    features_of(model.backbone, batches(IDS))

    assert model.backbone.training


def test_augmented_views_differ_and_come_again():
    model = counter()
    ones = [features_of(model.backbone, batches(IDS[:48], "standard"), epoch=e) for e in (1, 2, 1)]
    views = [dict(zip(ids, features, strict=True)) for ids, features in ones]

    assert np.array_equal(views[0]["003"], views[2]["003"])
    assert not np.allclose(views[0]["003"], views[1]["003"])


class Maker:
    def __init__(self) -> None:
        self.calls = 0

    def __call__(self):
        self.calls += 1
        return ["b", "a", "c"], np.arange(6, dtype=np.float32).reshape(3, 2)


def test_a_second_use_reads_the_file(tmp_path):
    make = Maker()
    for _ in range(2):
        found = FeatureStore(tmp_path / "f").get({"view": 1}, ["a", "b", "c"], make)
        assert found.tolist() == [[2, 3], [0, 1], [4, 5]]
    assert make.calls == 1

    FeatureStore(tmp_path / "f").get({"view": 2}, ["a", "b", "c"], make)
    assert make.calls == 2
    assert not list(tmp_path.rglob("*.part"))


@pytest.mark.parametrize("damage", ["cut", "empty", "other photos"])
def test_a_file_that_is_not_what_it_should_be_is_made_again(tmp_path, damage):
    make, store = Maker(), FeatureStore(tmp_path)
    store.get({"view": 1}, ["a", "b", "c"], make)
    (file,) = tmp_path.iterdir()
    if damage != "other photos":
        file.write_bytes(file.read_bytes()[:-3] if damage == "cut" else b"")
    wanted = ["c", "a", "b"] if damage == "other photos" else ["a", "b", "c"]
    found = store.get({"view": 1}, wanted, make)

    assert make.calls == 2
    assert found.tolist() == [{"a": [2, 3], "b": [0, 1], "c": [4, 5]}[i] for i in wanted]


def test_a_head_on_features_learns_what_it_learns_behind_a_frozen_backbone():
    whole = counter()
    whole.freeze(name for name, _ in whole.backbone.named_parameters())
    whole.backbone.eval()
    dropout = next(m for m in whole.backbone.modules() if isinstance(m, nn.Dropout))
    dropout.p = 0.0
    alone = counter()
    _, train = features_of(alone.backbone, batches(IDS[:48]))
    _, val = features_of(alone.backbone, batches(IDS[48:]))
    fit(
        whole,
        plan(whole, epochs=3),
        train=batches(IDS[:48], "none"),
        val=batches(IDS[48:]),
        save=Kept(whole),
    )
    fit(
        alone.head,
        plan(alone.head, epochs=3),
        train=FeatureBatches([train], FOLD, Order(48, batch_size=8, is_shuffled=True)),
        val=FeatureBatches([val], REST, Order(16, batch_size=8)),
        save=Kept(alone.head),
    )

    for one, other in zip(whole.head.parameters(), alone.head.parameters(), strict=True):
        assert torch.allclose(one, other, atol=1e-4)


def test_epochs_take_the_views_in_turn_and_may_be_entered_in_the_middle():
    views = [np.full((48, 2), view, dtype=np.float32) for view in range(3)]
    made = FeatureBatches(views, FOLD, Order(48, batch_size=8, is_shuffled=True))

    seen = [float(next(iter(made.epoch(epoch))).photos[0, 0]) for epoch in range(1, 6)]
    assert seen == [0, 1, 2, 0, 1]
    rest = list(made.epoch(2, start=4))
    assert len(rest) == 2 == len(made) - 4
    assert rest[0].photo_ids == list(made.epoch(2))[4].photo_ids
    assert rest[0].counts.tolist() == [int(i) % 4 for i in rest[0].photo_ids]
