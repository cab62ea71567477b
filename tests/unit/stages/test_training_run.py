import dataclasses
from types import SimpleNamespace

from stocktake.runs.folder import RunFolder
from stocktake.stages.training_run import Reporter
from stocktake.vision.fitting import Figures

FIGURES = Figures(
    epoch=2,
    step=8,
    train_loss=1.5,
    train_accuracy=0.25,
    val_loss=1.25,
    val_accuracy=0.5,
    seconds=2.0,
    wait_s=0.5,
    photos_per_s=16.0,
)


def test_every_figure_of_an_epoch_is_told_under_its_name(tmp_path):
    run = RunFolder.begin(tmp_path / "train", about={"stage": "train"}, settings={})
    Reporter(run).epoch_end(FIGURES)
    Reporter(run, member=1, members=2).epoch_end(FIGURES)

    told = {row["name"]: (row["step"], row["value"]) for row in run.metrics()}
    expected = dataclasses.asdict(FIGURES)
    del expected["epoch"], expected["step"]
    assert told == {
        f"{name}{behind}": (2, value) for behind in ("", ".2") for name, value in expected.items()
    }


def test_progress_runs_over_all_members():
    told = []
    run = SimpleNamespace(progress=lambda done, total, what: told.append((done, total)))
    for member in range(2):
        reporter = Reporter(run, member=member, members=2)
        reporter.start(None, None, 3)
        for step in range(3):
            reporter.step_end(step, 1.0)

    assert told == [(done, 6) for done in range(1, 7)]
