import dataclasses
import json

import pytest

from stocktake.errors import DataError
from stocktake.schema import checkpoints
from stocktake.schema.checkpoints import Checkpoint

GOOD = Checkpoint(
    epoch=3,
    step=120,
    backbone={"name": "resnet18", "drop_rate": 0.1},
    head="corn",
    max_count=5,
    preprocessing={"side_px": 64, "mean": [0.5] * 3, "std": [0.5] * 3},
    weights_source="random",
    metrics={"val_loss": 1.25},
    seed=7,
)


def test_a_checkpoint_survives_its_file(tmp_path):
    checkpoints.write(tmp_path, GOOD)

    assert checkpoints.read(tmp_path) == GOOD


def test_the_file_says_its_format(tmp_path):
    checkpoints.write(tmp_path, GOOD)

    assert json.loads((tmp_path / "checkpoint.json").read_text())["format"] == "checkpoint/1"


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"max_count": 0}, "max_count 0"),
        ({"preprocessing": {"side_px": 64}}, "lacks mean, std"),
        ({"format": "checkpoint/9"}, "checkpoint/9"),
    ],
)
def test_a_checkpoint_out_of_range_cannot_be_made(change, said):
    with pytest.raises(DataError, match=said):
        dataclasses.replace(GOOD, **change)


def test_a_file_of_another_format_is_refused(tmp_path):
    checkpoints.write(tmp_path, GOOD)
    file = tmp_path / "checkpoint.json"
    file.write_text(file.read_text().replace("checkpoint/1", "checkpoint/2"))

    with pytest.raises(DataError, match="checkpoint/2"):
        checkpoints.read(tmp_path)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": "checkpoint/1"}'])
def test_a_damaged_file_is_refused(tmp_path, text):
    (tmp_path / "checkpoint.json").write_text(text)

    with pytest.raises(DataError):
        checkpoints.read(tmp_path)


def test_a_folder_without_the_file_is_no_checkpoint(tmp_path):
    with pytest.raises(DataError, match="not a checkpoint"):
        checkpoints.read(tmp_path)


def test_the_pointer_names_the_best(tmp_path):
    for name in ("epoch-0001", "epoch-0002"):
        (tmp_path / name).mkdir()
        checkpoints.write(tmp_path / name, GOOD)
    (tmp_path / "best").write_text("epoch-0001\n")

    assert checkpoints.best(tmp_path) == tmp_path / "epoch-0001"


def test_without_a_pointer_there_is_no_best(tmp_path):
    with pytest.raises(DataError, match="no finished checkpoint"):
        checkpoints.best(tmp_path)


@pytest.mark.parametrize("name", ["epoch-0009", "", "../elsewhere"])
def test_a_pointer_to_nowhere_is_refused(tmp_path, name):
    (tmp_path / "best").write_text(name)

    with pytest.raises(DataError, match="is not a checkpoint here"):
        checkpoints.best(tmp_path)
