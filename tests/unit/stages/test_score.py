from typing import Any

import numpy as np
import pytest
import torch

from stocktake.errors import DataError
from stocktake.runs.folder import RunFolder
from stocktake.schema import heatmaps, scores
from stocktake.stages.score import ScoreResult, ScoreSettings, score
from stocktake.stages.train import TrainSettings, train
from stocktake.store.tables import read_table
from stocktake.testing import samples

torch.set_num_threads(1)

PHOTOS = 60


@pytest.fixture(scope="module")
def inputs(tmp_path_factory: pytest.TempPathFactory) -> dict[str, RunFolder]:
    folder = tmp_path_factory.mktemp("data")
    photos = samples.photos_run(folder / "ingest", photos=PHOTOS)
    split = samples.split_run(folder / "split", photos=PHOTOS)
    run = samples.finished_run(folder / "train", "train")
    settings = TrainSettings(
        backbone="test_efficientnet",
        weights="none",
        side_px=32,
        epochs=1,
        batch_size=12,
        max_count=2,
    )
    train(photos=photos, split=split, settings=settings, run=run)
    return {"photos": photos, "split": split, "checkpoint": run}


def scored(inputs, folder, **change: Any) -> tuple[ScoreResult, Any]:
    run = samples.finished_run(folder, "score")
    result = score(**inputs, settings=ScoreSettings(**change), run=run)
    return result, read_table(run.artifact("scores.parquet"), format=scores.FORMAT)


def test_every_photo_of_the_chosen_folds_has_a_row(inputs, tmp_path):
    result, table = scored(inputs, tmp_path / "score")
    scores.check(table)

    assert table["photo_id"].to_pylist() == [f"{i:05d}" for i in range(36, 60)]
    assert set(table["fold"].to_pylist()) == {"val", "calib", "test"}
    assert result.photos == 24 and result.max_count == 2 and result.epoch == 1


def test_a_photo_has_the_same_scores_whichever_folds_are_chosen(inputs, tmp_path):
    _, whole = scored(inputs, tmp_path / "whole", folds=["train", "val", "calib", "test"])
    _, part = scored(inputs, tmp_path / "part", folds=["calib"])
    picked = scores.of_folds(whole, ["calib"])

    assert picked["photo_id"].to_pylist() == part["photo_id"].to_pylist()
    assert np.allclose(scores.matrix(picked), scores.matrix(part), atol=1e-5)
    assert np.ptp(scores.matrix(whole)[:, 0]) > 1e-4


def test_a_count_the_model_cannot_say_stays_in_the_table(inputs, tmp_path):
    _, table = scored(inputs, tmp_path / "score")

    assert scores.counts(table).tolist() == [i % 4 for i in range(36, 60)]
    assert scores.matrix(table).shape == (24, 3)


def test_counts_of_all_folds_are_told_scored_or_not(inputs, tmp_path):
    result, table = scored(inputs, tmp_path / "score", folds=["test"])

    assert len(table) == 6
    assert result.photos_by_fold == {"train": 36, "val": 12, "calib": 6, "test": 6}
    assert result.counts_by_fold["train"] == {"0": 9, "1": 9, "2": 9, "3": 9}


def test_batch_size_does_not_matter_views_do(inputs, tmp_path):
    made = [
        scores.matrix(scored(inputs, tmp_path / str(i), **change)[1])
        for i, change in enumerate([{}, {"batch_size": 5}, {"views": 2}])
    ]

    assert np.allclose(made[0], made[1], atol=1e-5)
    assert not np.allclose(made[0], made[2], atol=1e-4)


def test_a_split_of_other_photos_is_refused(inputs, tmp_path):
    photos = samples.photos_run(tmp_path / "ingest", photos=PHOTOS - 1)

    with pytest.raises(DataError, match="this split is of other photos"):
        scored({**inputs, "photos": photos}, tmp_path / "score")


def test_a_run_without_checkpoint_is_refused(inputs, tmp_path):
    empty = samples.finished_run(tmp_path / "train", "train")

    with pytest.raises(DataError, match="no finished checkpoint"):
        scored({**inputs, "checkpoint": empty}, tmp_path / "score")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"folds": ["tset"]}, "folds must be some of train, val, calib, test, got .'tset'."),
        ({"folds": []}, "folds must be some of"),
        ({"folds": ["test", "test"]}, "folds must be some of"),
        ({"batch_size": 0}, "batch_size must be 1 or more"),
        ({"views": 3}, "views must be 1, 2 or 4, got 3"),
        ({"heatmaps": -1}, "heatmaps must be 0 or more"),
        ({"threads": -1}, "threads must be 0 or more"),
    ],
)
def test_settings_out_of_range_are_refused(change, said):
    with pytest.raises(ValueError, match=said):
        ScoreSettings(**change)


def test_heat_maps_are_kept_of_answers_worth_a_look(inputs, tmp_path):
    _, table = scored(inputs, tmp_path / "score", heatmaps=1)
    kept = read_table(tmp_path / "score/artifacts/heatmaps.parquet", format=heatmaps.FORMAT)
    found = heatmaps.by_photo(kept)
    said = dict(
        zip(table["photo_id"].to_pylist(), scores.matrix(table).argmax(axis=1), strict=True)
    )

    assert 3 <= len(found) <= 3 * 4, "of each of three folds one of each kind"
    assert set(found) <= set(said)
    assert [said[i] for i in kept["photo_id"].to_pylist()] == kept["count"].to_pylist()
    scored(inputs, tmp_path / "none", heatmaps=0)
    assert not (tmp_path / "none/artifacts/heatmaps.parquet").exists()
