import os
import signal
import threading
from pathlib import Path
from typing import Any

import pytest
import torch

from stocktake.errors import SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages import trainer
from stocktake.stages.train import TrainSettings
from stocktake.stages.training_run import Saver
from stocktake.testing import samples
from stocktake.vision import checkpoints

torch.set_num_threads(1)

TINY: dict[str, Any] = {"backbone": "test_efficientnet", "weights": "none", "side_px": 32}


def settings(**change: Any) -> TrainSettings:
    return TrainSettings(**TINY | change)


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> trainer.Data:
    folder = tmp_path_factory.mktemp("data")
    photos = samples.photos_run(folder / "ingest", photos=60)
    split = samples.split_run(folder / "split", photos=60)
    return trainer.data_of(photos, split, settings(), None)


def nowhere(folder: Path) -> RunFolder:
    return RunFolder.begin(folder / "train", about={"stage": "train"}, settings={})


def test_the_plan_is_what_the_settings_say(data, tmp_path):
    how = settings(
        averaging=0.9, mixup=0.2, accumulate=2, better_by="epoch", save_every_s=7.0, layer_decay=0.5
    )
    with trainer.begun(how, data, nowhere(tmp_path)) as ready:
        plan = ready.plan
        assert plan.averaged is not None
        assert (plan.mixup, plan.accumulate, plan.better_by) == (0.2, 2, "epoch")
        assert plan.save_every_s == 7.0 and plan.done == () and plan.midway is None
        scales = {group["lr_scale"] for group in plan.optimizer.param_groups}
        assert {1.0, 0.5, 0.25} <= scales


def test_an_adjustment_for_the_mix_changes_the_loss(data, tmp_path):
    losses = []
    log_probs = torch.log_softmax(torch.tensor([[0.1, 0.9, 0.2, 0.3]]), dim=1)
    unlike = trainer.Data(
        photos="",
        shards=data.shards,
        train=trainer_fold(data, [0, 1, 2, 3, 7]),
        val=data.val,
        max_count=3,
        left_out=0,
    )
    for strength in (0.0, 1.0):
        with trainer.begun(settings(prior_adjustment=strength), unlike, nowhere(tmp_path)) as ready:
            losses.append(float(ready.plan.loss(log_probs, torch.tensor([3]))))

    assert losses[0] != losses[1]


def trainer_fold(data: trainer.Data, places: list[int]):
    ids = [data.train.photo_ids[i] for i in places]
    return type(data.train)(photo_ids=ids, counts=data.train.counts[places])


def test_unknown_parts_are_refused_before_anything_is_read():
    with pytest.raises(SettingsError, match="did you mean 'soft-labels'"):
        trainer.look_up(settings(loss="soft-label"))


def test_the_first_signal_waits_and_the_second_does_not():
    heard = []
    before = signal.signal(signal.SIGTERM, lambda *_: heard.append("at once"))
    try:
        with trainer.stopping() as should_stop:
            assert not should_stop()
            os.kill(os.getpid(), signal.SIGTERM)
            assert should_stop() and heard == []
            os.kill(os.getpid(), signal.SIGTERM)
            assert heard == ["at once"]
        os.kill(os.getpid(), signal.SIGTERM)
        assert heard == ["at once", "at once"]
    finally:
        signal.signal(signal.SIGTERM, before)


def test_in_a_thread_signals_are_left_alone():
    seen = []

    def look() -> None:
        with trainer.stopping() as should_stop:
            seen.append((signal.getsignal(signal.SIGTERM), should_stop()))

    thread = threading.Thread(target=look)
    thread.start()
    thread.join()

    assert seen == [(signal.getsignal(signal.SIGTERM), False)]


def test_of_several_processes_only_the_first_writes(data, tmp_path: Path):
    run = RunFolder.begin(tmp_path / "train", about={"stage": "train"}, settings={})
    with trainer.begun(settings(), data, run) as ready:
        second = type(ready.plan.world)(rank=1, ranks=2)
        object.__setattr__(ready.plan, "world", second)
        saver = Saver(ready)
        saver.midway(0, 1, {"history": []})

    assert not run.artifact("checkpoints").exists()


def test_a_middle_of_an_epoch_is_gone_on_from(data, tmp_path: Path):
    run = RunFolder.begin(tmp_path / "train", about={"stage": "train"}, settings={})
    with trainer.begun(settings(), data, run) as ready:
        midway = {"epoch": 1, "batches": 2, "seconds": 1.0, "wait_s": 0.5, "tally": {}}
        state = {"history": [], "midway": midway, "averaged": None}
        state |= {"optimizer": ready.plan.optimizer.state_dict()}
        saver = Saver(ready)
        saver.midway(0, 2, state)
        kept = {k: v.clone() for k, v in ready.counter.state_dict().items()}
    with trainer.begun(settings(seed=5), data, run) as ready:
        assert ready.plan.midway is not None and ready.plan.midway.batches == 2
        now = ready.counter.state_dict()
        assert all(torch.equal(now[key], kept[key]) for key in kept)
    assert any("going on after epoch 0 and 2 steps" in row["message"] for row in run.lines())
    assert checkpoints.resume(tmp_path / "nowhere", ready.counter) is None


def test_adapted_norms_start_from_the_train_fold_and_stay(data, tmp_path):
    found = {}
    for norms in ("batch", "kept", "adapted"):
        with trainer.begun(settings(norms=norms), data, nowhere(tmp_path)) as ready:
            ready.counter.train()
            key = next(k for k in ready.counter.state_dict() if k.endswith("running_mean"))
            before = ready.counter.state_dict()[key].clone()
            ready.counter(next(iter(ready.val.epoch(0))).photos)
            found[norms] = before, bool(torch.equal(ready.counter.state_dict()[key], before))

    assert [stays for _, stays in found.values()] == [False, True, True]
    assert float(found["kept"][0].abs().sum()) == 0 < float(found["adapted"][0].abs().sum())


def test_members_train_apart_and_go_on_apart(data, tmp_path):
    how = settings(members=2, seed=4)
    run = nowhere(tmp_path)
    seen = []
    for member in range(2):
        with trainer.begun(how, data, run, member=member) as ready:
            seen.append((ready.settings.seed, ready.plan.seed, ready.folder))

    assert [seed for seed, _, _ in seen] == [seed for _, seed, _ in seen] == [4, 5]
    assert [folder for _, _, folder in seen] == [
        run.path / "artifacts/members/1",
        run.path / "artifacts/members/2",
    ]


def test_times_are_said_as_people_say_them():
    assert [trainer.said(s) for s in (40.2, 99, 720, 5300, 12000)] == [
        "40 s",
        "99 s",
        "12 min",
        "88 min",
        "3 h 20 min",
    ]
