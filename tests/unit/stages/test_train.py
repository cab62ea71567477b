import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from stocktake.errors import DataError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages.train import PACE, TrainResult, TrainSettings, check, outside, train
from stocktake.testing import samples
from stocktake.vision import checkpoints
from stocktake.vision.schedules import schedules

torch.set_num_threads(1)

PHOTOS = 60
TINY: dict[str, Any] = {
    "backbone": "test_vit",
    "weights": "none",
    "side_px": 32,
    "epochs": 2,
    "batch_size": 12,
    "optimizer": {"name": "adamw", "lr": 3e-3},
}


@pytest.fixture(scope="module")
def data(tmp_path_factory: pytest.TempPathFactory) -> tuple[RunFolder, RunFolder]:
    folder = tmp_path_factory.mktemp("data")
    photos = samples.photos_run(folder / "ingest", photos=PHOTOS)
    return photos, samples.split_run(folder / "split", photos=PHOTOS)


def trained(data, folder: Path, **change: Any) -> tuple[TrainResult, RunFolder]:
    run = samples.finished_run(folder, "train")
    photos, split = data
    return train(photos=photos, split=split, settings=TrainSettings(**TINY | change), run=run), run


def weights_in(run: RunFolder) -> dict[str, torch.Tensor]:
    best = checkpoints.best(run.artifact("checkpoints"))
    return checkpoints.load(best).state_dict()


def test_a_run_holds_a_checkpoint_that_says_how_it_was_made(data, tmp_path):
    result, run = trained(data, tmp_path / "train")
    best = checkpoints.best(run.artifact("checkpoints"))
    about = checkpoints.describe(best)

    assert about.epoch == result.best_epoch
    assert about.max_count == result.max_count == 3
    assert about.weights_source == result.weights_source == "random"
    assert about.preprocessing["side_px"] == result.side_px == 32
    assert result.train_counts == {"0": 9, "1": 9, "2": 9, "3": 9}
    assert result.missing_counts == [] and result.train_left_out == 0
    assert result.epochs == 2 and result.photos_per_s > 0


def test_each_epoch_is_in_the_metrics(data, tmp_path):
    result, run = trained(data, tmp_path / "train")
    rows = {(row["step"], row["name"]): row["value"] for row in run.metrics()}

    for name in ("train_loss", "train_accuracy", "val_loss", "val_accuracy", "photos_per_s"):
        assert {step for step, found in rows if found == name} == {1, 2}
    assert rows[result.best_epoch, "val_loss"] == result.val_loss
    assert rows[result.best_epoch, "val_accuracy"] == result.val_accuracy


def test_same_settings_same_weights(data, tmp_path):
    first, second, other = (
        weights_in(trained(data, tmp_path / name, seed=seed)[1])
        for name, seed in (("a", 1), ("b", 1), ("c", 2))
    )

    assert all(torch.equal(first[key], second[key]) for key in first)
    assert not all(torch.equal(first[key], other[key]) for key in first)


def test_parts_are_chosen_by_name(data, tmp_path):
    parts = {
        "backbone": {"name": "test_efficientnet", "drop_rate": 0.1},
        "head": "corn",
        "loss": {"name": "soft-labels", "sigma": 0.8},
        "augment": "report",
        "optimizer": {"name": "sgd", "lr": 0.01},
        "schedule": "constant",
        "frozen_stages": 1,
    }
    _, run = trained(data, tmp_path / "train", **parts)
    about = checkpoints.describe(checkpoints.best(run.artifact("checkpoints")))

    assert (about.backbone, about.head) == (parts["backbone"], "corn")


def test_counts_above_max_count_are_left_out_of_training_and_recorded(data, tmp_path):
    result, run = trained(data, tmp_path / "train", max_count=2)

    assert result.max_count == 2
    assert result.train_left_out == 9
    assert "3" not in result.train_counts
    assert any("above 2: left out" in row["message"] for row in run.lines())


def test_counts_nobody_has_shown_are_named(data, tmp_path):
    result, _ = trained(data, tmp_path / "train", max_count=5)

    assert result.missing_counts == [4, 5]


def test_an_own_checkpoint_is_a_starting_point(data, tmp_path):
    _, first = trained(data, tmp_path / "first")
    file = checkpoints.best(first.artifact("checkpoints")) / "weights.safetensors"
    result, second = trained(
        data, tmp_path / "second", weights=str(file), frozen_stages=-1, max_count=5
    )

    assert result.weights_source == f"file {file}"
    before, after = weights_in(first), weights_in(second)
    assert all(torch.equal(before[k], after[k]) for k in before if k.startswith("backbone."))


def test_a_split_of_other_photos_is_refused(data, tmp_path):
    photos = samples.photos_run(tmp_path / "ingest", photos=PHOTOS + 1)

    with pytest.raises(DataError, match="this split is of other photos"):
        trained((photos, data[1]), tmp_path / "train")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"backbone": "resnet5"}, "no backbone 'resnet5'; did you mean"),
        ({"head": "sotfmax"}, "did you mean 'softmax'"),
        ({"loss": {"name": "soft-labels", "sgima": 1}}, "no option 'sgima'"),
        ({"optimizer": {"name": "adamw", "lr": "fast"}}, "'lr' must be float"),
        ({"augment": "wild"}, "no augment 'wild'"),
        ({"schedule": {"name": "cosine", "warmup": 2.0}}, "warmup 2.0"),
        ({"frozen_stages": 99}, "frozen_stages is 99"),
        ({"weights": "no-such-file"}, "no file no-such-file"),
    ],
)
def test_settings_that_fit_no_part_are_refused_before_training(data, tmp_path, change, said):
    with pytest.raises(SettingsError, match=said):
        trained(data, tmp_path / "train", **change)
    assert not (tmp_path / "train" / "metrics.jsonl").exists()


def test_a_run_that_blows_up_keeps_its_last_good_checkpoint(data, tmp_path):
    @schedules.add("cliff")
    def cliff():
        """One quiet epoch of two, then a rate no model survives."""
        return lambda step, steps: 1.0 if step < steps / 2 else 1e30

    with pytest.raises(DataError, match="loss is (nan|inf) "):
        trained(data, tmp_path / "train", epochs=2, schedule="cliff")
    run = RunFolder(tmp_path / "train")
    kept = list((run.path / "artifacts" / "checkpoints").glob("epoch-*"))

    assert [folder.name for folder in kept] == ["epoch-0001"]
    checkpoints.load(kept[0])


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"epochs": 0}, "epochs must be 1 or more, got 0"),
        ({"batch_size": 1}, "batch_size must be 2 or more"),
        ({"side_px": 16}, "side_px must be 0 or between 32 and 1024"),
        ({"backbone_lr_scale": 0.0}, "backbone_lr_scale must be above 0"),
        ({"frozen_stages": -2}, "frozen_stages must be -1 or more"),
        ({"clip_norm": -1.0}, "clip_norm must be 0 or more"),
        ({"limit": 1}, "limit must be 2 or more, or 0 for all photos, got 1"),
    ],
)
def test_settings_out_of_range_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        TrainSettings(**change)


def test_a_weights_file_is_part_of_what_a_run_is_made_of(tmp_path):
    file = tmp_path / "w.safetensors"
    file.write_bytes(b"one")
    first = outside(TrainSettings(weights=str(file)))
    file.write_bytes(b"two")

    assert first != outside(TrainSettings(weights=str(file)))
    assert outside(TrainSettings()) == outside(TrainSettings(weights="none")) == ""


def test_a_missing_weights_file_is_refused_before_anything_starts():
    with pytest.raises(SettingsError, match="there is no file gone.pth"):
        outside(TrainSettings(weights="gone.pth"))


def test_settings_are_plain_data():
    assert json.loads(json.dumps(TINY)) == TINY


def test_several_members_answer_as_one(data, tmp_path):
    result, run = trained(data, tmp_path / "train", members=2, seed=3)
    alone = [
        checkpoints.load(
            checkpoints.best(trained(data, tmp_path / f"{s}", seed=s)[1].artifact("checkpoints"))
        )
        for s in (3, 4)
    ]
    whole = checkpoints.load(checkpoints.best(run.artifact("checkpoints")))
    photos = torch.rand(5, 3, 32, 32)
    with torch.inference_mode():
        looks = torch.stack([counter(photos) for counter in alone])
        wanted = torch.log_softmax(looks.mean(dim=0), dim=1)
        assert torch.allclose(whole(photos), wanted, atol=1e-6)
        assert not torch.allclose(looks[0], looks[1], atol=1e-3)

    about = checkpoints.describe(checkpoints.best(run.artifact("checkpoints")))
    assert about.members == 2 and about.metrics["val_loss"] == result.val_loss
    names = {row["name"] for row in run.metrics()}
    assert {"val_loss", "val_loss.2"} <= names and "val_loss.3" not in names
    assert result.parameters == 2 * sum(p.numel() for p in alone[0].parameters())


def test_rules_are_looked_up_before_a_walk_begins():
    with pytest.raises(SettingsError, match="did you mean 'Overfit'"):
        check(TrainSettings(rules=("Overfitt",)))
    with pytest.raises(SettingsError, match="VanishingGradient has no parameter 'treshold'"):
        check(TrainSettings(rules=({"name": "VanishingGradient", "treshold": 1},)))


def test_what_watches_matters_only_where_it_may_stop_the_training():
    assert {"rules", "record_every", "profile", "on_issue"} <= set(PACE)
    assert outside(TrainSettings(rules=())) == ""
    stops = TrainSettings(on_issue="stop")
    assert outside(stops) not in ("", outside(replace(stops, record_every=7)))
    assert outside(stops) != outside(replace(stops, rules=("Overfit",)))
    assert outside(stops) == outside(replace(stops, profile=False))


def test_an_unknown_answer_to_an_issue_is_refused():
    with pytest.raises(ValueError, match='on_issue must be one of "note", "stop"'):
        TrainSettings(on_issue="panic")
