from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from stocktake.runs.folder import RunFolder
from stocktake.stages import probe, trainer
from stocktake.stages.train import TrainSettings, train
from stocktake.testing import samples
from stocktake.vision import checkpoints, features

torch.set_num_threads(1)


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("data")
    photos = samples.photos_run(folder / "ingest", photos=60)
    return {"photos": photos, "split": samples.split_run(folder / "split", photos=60)}


@pytest.fixture
def looks(monkeypatch) -> list[int]:
    """The views that the backbone was asked for."""
    seen: list[int] = []
    original = features.features_of

    def features_of(*args: Any, **options: Any):
        seen.append(options["epoch"])
        return original(*args, **options)

    monkeypatch.setattr(features, "features_of", features_of)
    return seen


def settings(tmp_path: Path, **change: Any) -> TrainSettings:
    given = {"backbone": "test_efficientnet", "weights": "none", "side_px": 32, "epochs": 3}
    given |= {"frozen_stages": -1, "features": str(tmp_path / "features"), "batch_size": 12}
    return TrainSettings(**given | change)


def trained(inputs, folder: Path, how: TrainSettings) -> RunFolder:
    run = RunFolder.begin(folder, about={"stage": "train"}, settings={})
    train(**inputs, settings=how, run=run)
    return run


def test_features_are_made_once_for_all_runs(inputs, tmp_path, looks):
    trained(inputs, tmp_path / "one", settings(tmp_path))
    assert looks == [1, 2, 3, 4, 0]
    trained(inputs, tmp_path / "two", settings(tmp_path, epochs=9, loss="soft-labels"))
    assert looks == [1, 2, 3, 4, 0], "another recipe for the head needs no new features"
    trained(inputs, tmp_path / "three", settings(tmp_path, seed=1))
    assert looks[5:] == [1, 2, 3, 4, 0], "another seed has other weights here"


def test_the_checkpoint_is_of_the_whole_counter(inputs, tmp_path):
    run = trained(inputs, tmp_path / "one", settings(tmp_path, averaging=0.5))
    best = checkpoints.best(run.artifact("checkpoints"))
    whole = checkpoints.load(best)
    with trainer.begun(settings(tmp_path), data_of(inputs), run, is_silent=True) as ready:
        now, start = whole.state_dict(), ready.backbone.module.state_dict()
        assert all(torch.equal(now[f"backbone.{key}"], value) for key, value in start.items())
        (batch,) = ready.val.epoch(0)
        found = whole.head(batch.photos).argmax(dim=1) == batch.counts
    assert np.isclose(
        float(found.float().mean()), checkpoints.describe(best).metrics["val_accuracy"]
    )


def data_of(inputs) -> trainer.Data:
    return trainer.data_of(inputs["photos"], inputs["split"], TrainSettings(), None)


def test_views_are_the_augmented_copies_asked_for(inputs, tmp_path, looks):
    trained(inputs, tmp_path / "none", settings(tmp_path, views=0))
    assert looks == [0, 0]
    trained(inputs, tmp_path / "two", settings(tmp_path, views=2))
    assert looks[2:] == [1, 2]


def test_the_folder_is_the_users_unless_set():
    assert probe.folder_of(TrainSettings(features="x")) == Path("x")
    assert probe.folder_of(TrainSettings()) == Path.home() / ".cache/stocktake/features"
