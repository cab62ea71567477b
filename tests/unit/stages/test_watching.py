import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import small
import torch

from stocktake.debugger import files
from stocktake.errors import SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages import watching
from stocktake.stages.train import TrainSettings
from stocktake.vision import fitting

torch.set_num_threads(1)
TRAIN, VAL = small.IDS[:48], small.IDS[48:]


class Tiny:
    """A training of one layer, watched."""

    def __init__(self, folder: Path, *, epochs: int = 2, member: int = 0, **settings: Any) -> None:
        self.model = small.counter()
        self.plan = small.plan(self.model, epochs=epochs)
        self.kept = small.Kept(self.model)
        path = folder / "train"
        self.run = RunFolder.begin(path, about={"stage": "train"}, settings={})
        self.settings = {"record_every": 3, **settings}
        self.member = member

    def fit(self, **change: Any) -> list[fitting.Figures]:
        plan = fitting.Plan(**vars(self.plan) | change)
        ready: Any = SimpleNamespace(settings=TrainSettings(**self.settings), plan=plan)
        self.watch = watching.Watch(ready, self.run, member=self.member)
        return fitting.fit(
            self.model,
            fitting.Plan(**vars(plan) | {"is_enough": self.watch.is_enough}),
            train=small.batches(TRAIN, "none"),
            val=small.batches(VAL),
            save=self.kept,
            watchers=self.watch.watchers,
        )

    @property
    def warnings(self) -> list[str]:
        return [line["message"] for line in self.run.lines() if line["level"] == "warning"]

    def rule(self, name: str) -> dict[str, Any]:
        return json.loads((self.run.path / "rule-output" / f"{name}.json").read_text())


def test_every_loss_is_recorded_and_tensors_every_so_many_steps(tmp_path):
    tiny = Tiny(tmp_path)
    history = tiny.fit()
    record = files.read(tiny.run.path / "debug-output")

    assert list(record.series("loss").steps) == list(range(12))
    assert list(record.series("gradient/backbone.0.weight", "abs_mean").steps) == [0, 3, 6, 9]
    assert record.names("activations") and record.names("weights")
    validated = record.series("loss", mode="eval")
    assert validated.steps == [0, 1]
    assert [row.value for row in validated.rows] == [one.val_loss for one in history]
    means = record.series("train_loss", mode="eval")
    assert [row.value for row in means.rows] == [one.train_loss for one in history]


def test_watching_does_not_change_what_is_trained(tmp_path):
    watched, alone = Tiny(tmp_path / "a", record_every=1), Tiny(tmp_path / "b", record_every=0)
    watched.fit()
    alone.fit()

    assert not (alone.run.path / "debug-output").exists()
    for name, tensor in alone.kept.weights.items():
        assert torch.equal(tensor, watched.kept.weights[name])


def test_a_rule_that_fires_warns_once_and_is_written_down(tmp_path):
    tiny = Tiny(tmp_path, epochs=3, rules=({"name": "VanishingGradient", "threshold": 1e9},))
    tiny.fit()
    (warning,) = [text for text in tiny.warnings if text.startswith("VanishingGradient")]

    assert warning.startswith("VanishingGradient at train step 0: ")
    assert "was expected." in warning and "Use ReLU" in warning
    verdict = tiny.rule("VanishingGradient")
    assert verdict["RuleEvaluationStatus"] == "IssuesFound"
    assert verdict["parameters"] == {"threshold": 1e9}


STRICT = ({"name": "VanishingGradient", "threshold": 1e9},)


def test_an_issue_stops_training_after_its_epoch_if_asked_to(tmp_path):
    noted = Tiny(tmp_path / "a", epochs=4, rules=STRICT).fit()
    tiny = Tiny(tmp_path / "b", epochs=4, rules=STRICT, on_issue="stop")
    stopped = tiny.fit()

    assert (len(noted), len(stopped)) == (4, 1)
    assert any("stopping, as VanishingGradient" in line["message"] for line in tiny.run.lines())


def test_a_training_that_an_issue_had_stopped_does_not_go_on(tmp_path):
    tiny = Tiny(tmp_path, epochs=4, rules=STRICT, on_issue="stop")
    done = tiny.fit()

    assert tiny.fit(done=done) == done


def test_a_later_attempt_goes_on_with_the_record(tmp_path):
    tiny = Tiny(tmp_path, epochs=3)
    taken: list[int] = []

    def stops() -> bool:
        taken.append(1)
        return len(taken) == 9

    with pytest.raises(KeyboardInterrupt):
        tiny.fit(should_stop=stops)
    end = json.loads((tiny.run.path / "debug-output" / "end.json").read_text())
    assert end["status"] == "failed" and "KeyboardInterrupt" in end["error"]
    assert tiny.rule("Overfit")["RuleEvaluationStatus"] == "Stopped"

    figures, _, _ = tiny.kept.epochs[0]
    tiny.fit(done=[figures], midway=fitting.Midway(epoch=2, batches=3))
    record = files.read(tiny.run.path / "debug-output")
    assert list(record.series("loss").steps) == list(range(18))
    assert record.series("loss", mode="eval").steps == [0, 1, 2]
    assert tiny.rule("Overtraining")["RuleEvaluationStatus"] == "NoIssuesFound"


def test_a_debugger_that_fails_is_said_once_and_training_goes_on(tmp_path, monkeypatch):
    from stocktake.debugger import capture

    def broken(*_: Any, **__: Any) -> None:
        raise ZeroDivisionError("a fault of the debugger's")

    monkeypatch.setattr(capture.Recorder, "scalar", broken)
    tiny = Tiny(tmp_path)

    assert len(tiny.fit()) == 2
    (said,) = [text for text in tiny.warnings if "debugger failed" in text]
    assert said.endswith("training goes on: ZeroDivisionError: a fault of the debugger's")
    assert not tiny.model._forward_hooks


def test_a_profiler_that_fails_leaves_the_debugger_at_work(tmp_path, monkeypatch):
    from stocktake.debugger import phases

    def broken(*_: Any) -> None:
        raise OSError("no more room")

    monkeypatch.setattr(phases.Phases, "step", broken)
    tiny = Tiny(tmp_path)

    assert len(tiny.fit()) == 2
    assert [text for text in tiny.warnings if "profiler failed" in text] == [
        "the profiler failed and is off, training goes on: OSError: no more room"
    ]
    assert tiny.rule("Overfit")["steps"] > 0


def test_a_folder_that_cannot_be_written_costs_the_record_alone(tmp_path):
    tiny = Tiny(tmp_path)
    (tiny.run.path / "debug-output").touch()

    assert len(tiny.fit()) == 2
    assert any("the debugger failed and is off" in text for text in tiny.warnings)


def test_an_interruption_is_no_failure_of_the_debugger(tmp_path, monkeypatch):
    from stocktake.debugger import capture

    def interrupted(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(capture.Recorder, "scalar", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Tiny(tmp_path).fit()


def test_an_unknown_rule_is_refused_before_training(tmp_path):
    with pytest.raises(SettingsError, match="did you mean 'Overfit'"):
        Tiny(tmp_path, rules=("Overfitt",)).fit()


def test_phases_and_steps_are_timed_and_the_page_is_written(tmp_path):
    from stocktake.debugger import samples

    tiny = Tiny(tmp_path)
    tiny.fit()
    seen = samples.read(tiny.run.path / "profiler-output")
    names = {span.name for span in seen.spans}

    assert len(seen.steps("train")) == 12
    assert {"data wait", "forward", "backward", "optimizer", "evaluation"} <= names
    assert tiny.rule("ProfilerReport")["page"] == "ProfilerReport/profiler-report.html"
    page = tiny.run.path / "rule-output" / "ProfilerReport" / "profiler-report.html"
    assert "12 training steps" in page.read_text()


def test_without_a_profile_nothing_is_measured(tmp_path):
    tiny = Tiny(tmp_path, profile=False)
    tiny.fit()

    assert not (tiny.run.path / "profiler-output").exists()
    assert not (tiny.run.path / "rule-output" / "ProfilerReport.json").exists()


def test_of_several_members_each_has_folders_of_its_own(tmp_path):
    tiny = Tiny(tmp_path, member=1, members=2)
    tiny.fit()

    assert (tiny.run.path / "debug-output/member-2/end.json").exists()
    assert (tiny.run.path / "profiler-output/member-2").is_dir()
    assert (tiny.run.path / "rule-output/member-2/Overfit.json").exists()
