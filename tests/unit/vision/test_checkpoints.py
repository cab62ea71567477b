import dataclasses

import pytest
import torch

from stocktake.errors import DataError
from stocktake.schema.checkpoints import Checkpoint
from stocktake.vision import checkpoints
from stocktake.vision.counter import make_backbone, make_counter, preprocessing_of

BACKBONE = {"name": "test_efficientnet", "drop_rate": 0.1}


def a_counter(seed: int = 0):
    torch.manual_seed(seed)
    backbone = make_backbone(BACKBONE, side_px=32)
    return make_counter(backbone, "corn", max_count=4)


ABOUT = Checkpoint(
    epoch=1,
    step=10,
    backbone=BACKBONE,
    head="corn",
    max_count=4,
    preprocessing=preprocessing_of(make_backbone(BACKBONE, side_px=32)).to_dict(),
    weights_source="random",
)


TRAINER = {"history": [], "optimizer": {}}


def save(keeper, epoch, *, is_best, seed=0):
    about = dataclasses.replace(ABOUT, epoch=epoch, step=10 * epoch)
    return keeper.save(a_counter(seed), about, trainer=TRAINER | {"epoch": epoch}, is_best=is_best)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


def test_a_counter_comes_back_as_it_was(tmp_path):
    folder = save(checkpoints.Keeper(tmp_path / "c"), 1, is_best=True, seed=5)
    loaded, original = checkpoints.load(folder), a_counter(5).eval()
    photos = torch.randn(3, 3, 32, 32)

    assert not loaded.training
    assert torch.allclose(loaded(photos), original(photos), atol=1e-6)
    assert checkpoints.describe(folder) == ABOUT
    assert loaded.max_count == 4
    assert checkpoints.best(tmp_path / "c") == folder


def test_only_the_last_and_the_best_are_kept(tmp_path):
    keeper = checkpoints.Keeper(tmp_path / "c")
    for epoch, is_best in ((1, True), (2, False), (3, True), (4, False), (5, False)):
        save(keeper, epoch, is_best=is_best)

    assert names(keeper.folder) == ["best", "epoch-0003", "epoch-0005"]
    assert checkpoints.best(keeper.folder).name == "epoch-0003"
    assert names(keeper.folder / "epoch-0003") == ["checkpoint.json", "weights.safetensors"]
    assert "trainer.pt" in names(keeper.folder / "epoch-0005")


def test_an_earlier_attempt_is_cleared_away(tmp_path):
    save(checkpoints.Keeper(tmp_path / "c"), 7, is_best=True)
    checkpoints.Keeper(tmp_path / "c")

    assert names(tmp_path / "c") == []


def test_a_save_that_is_interrupted_leaves_nothing(tmp_path, monkeypatch):
    keeper = checkpoints.Keeper(tmp_path / "c")
    save(keeper, 1, is_best=True)

    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(checkpoints.torch, "save", interrupted)
    with pytest.raises(KeyboardInterrupt):
        save(keeper, 2, is_best=True)
    assert names(keeper.folder) == ["best", "epoch-0001"]


@pytest.mark.parametrize("damage", [b"", b"\x00" * 100, None])
def test_damaged_weights_are_refused(tmp_path, damage):
    folder = save(checkpoints.Keeper(tmp_path / "c"), 1, is_best=True)
    file = folder / "weights.safetensors"
    file.unlink() if damage is None else file.write_bytes(damage)

    with pytest.raises(DataError, match="cannot be loaded"):
        checkpoints.load(folder)


def test_weights_of_another_model_are_refused(tmp_path):
    folder = save(checkpoints.Keeper(tmp_path / "c"), 1, is_best=True)
    file = folder / "checkpoint.json"
    file.write_text(file.read_text().replace('"max_count": 4', '"max_count": 5'))

    with pytest.raises(DataError, match="cannot be loaded"):
        checkpoints.load(folder)


def test_the_newest_whole_checkpoint_is_gone_on_from(tmp_path):
    keeper = checkpoints.Keeper(tmp_path / "c")
    save(keeper, 1, is_best=True, seed=1)
    save(keeper, 2, is_best=False, seed=2)
    counter = a_counter(9)
    trainer = checkpoints.resume(keeper.folder, counter)

    assert trainer == TRAINER | {"epoch": 2}
    state, wanted = counter.state_dict(), a_counter(2).state_dict()
    assert all(torch.equal(state[key], wanted[key]) for key in wanted)


@pytest.mark.parametrize("file", ["trainer.pt", "weights.safetensors"])
def test_a_damaged_checkpoint_is_not_gone_on_from(tmp_path, file):
    keeper = checkpoints.Keeper(tmp_path / "c")
    folder = save(keeper, 1, is_best=True)
    (folder / file).write_bytes(b"cut")

    assert checkpoints.resume(keeper.folder, a_counter()) is None
    assert checkpoints.resume(tmp_path / "nowhere", a_counter()) is None


def test_a_keeper_that_goes_on_keeps_what_is_there_and_mends_the_pointer(tmp_path):
    first = checkpoints.Keeper(tmp_path / "c")
    save(first, 1, is_best=True)
    save(first, 2, is_best=True)
    (first.folder / "best").write_text("epoch-0001\n")  # killed before the pointer moved
    again = checkpoints.Keeper(tmp_path / "c", goes_on=True, best=2)

    assert checkpoints.best(again.folder).name == "epoch-0002"
    save(again, 3, is_best=False)
    assert names(again.folder) == ["best", "epoch-0002", "epoch-0003"]


def midway(keeper, step, *, seed):
    about = dataclasses.replace(ABOUT, epoch=1, step=step)
    return keeper.save_midway(a_counter(seed), about, trainer=TRAINER | {"step": step})


def test_the_middle_of_an_epoch_is_gone_on_from_until_the_epoch_is_over(tmp_path):
    keeper = checkpoints.Keeper(tmp_path / "c")
    save(keeper, 1, is_best=True, seed=1)
    midway(keeper, 13, seed=2)
    midway(keeper, 17, seed=3)
    assert names(keeper.folder) == ["best", "epoch-0001", "step-00000017"]

    counter = a_counter(9)
    assert checkpoints.resume(keeper.folder, counter) == TRAINER | {"step": 17}
    state, wanted = counter.state_dict(), a_counter(3).state_dict()
    assert all(torch.equal(state[key], wanted[key]) for key in wanted)
    assert checkpoints.best(keeper.folder).name == "epoch-0001"

    save(keeper, 2, is_best=False)
    assert names(keeper.folder) == ["best", "epoch-0001", "epoch-0002"]


def test_a_keeper_goes_on_before_the_first_epoch_is_over(tmp_path):
    midway(checkpoints.Keeper(tmp_path / "c"), 3, seed=2)
    checkpoints.Keeper(tmp_path / "c", goes_on=True)

    assert names(tmp_path / "c") == ["step-00000003"]


def test_weights_that_were_averaged_are_gone_on_from_as_they_were_themselves(tmp_path):
    keeper = checkpoints.Keeper(tmp_path / "c")
    own = a_counter(5).state_dict()
    keeper.save(a_counter(1), ABOUT, trainer=TRAINER | {"own": own}, is_best=True)
    counter = a_counter(9)
    checkpoints.resume(keeper.folder, counter)

    state = counter.state_dict()
    assert all(torch.equal(state[key], own[key]) for key in own)
