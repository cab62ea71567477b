import json

import pytest
import torch
from small import IDS, Kept, batches, counter, plan

from stocktake.debugger import files
from stocktake.errors import SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages import watching
from stocktake.vision.fitting import fit

RULES = ["VanishingGradient", "Overfit", "ExplodingTensor"]


@pytest.fixture
def run(tmp_path) -> RunFolder:
    about = {"stage": "train", "fingerprint": "x", "inputs": {}}
    return RunFolder.begin(tmp_path / "train", about=about, settings={})


def train(run: RunFolder, model, how, **changes):
    settings = {"rules": RULES, "every": 2, "profiles": False} | changes
    watch = watching.Watch(run, **settings)
    fit(
        model,
        how,
        train=batches(IDS[:48], "none"),
        val=batches(IDS[48:]),
        save=Kept(model),
        watchers=[watch],
    )
    return watch


def warnings(run: RunFolder) -> list[str]:
    lines = (run.path / "log.jsonl").read_text().splitlines()
    return [row["message"] for row in map(json.loads, lines) if row["level"] == "warning"]


def test_losses_are_recorded_at_every_step_and_gradients_every_few(run):
    model = counter()
    train(run, model, plan(model, epochs=2))

    record = files.read(run.path / "debug-output")
    assert list(record.series("loss").steps) == list(range(12))
    assert len(record.series("loss", mode="eval").steps) == 2
    (gradient, *_) = record.names("gradients")
    assert list(record.series(gradient, "abs_mean").steps) == list(range(0, 12, 2))


def test_watching_changes_nothing_that_is_trained(run):
    weights = []
    for every in (0, 1):
        model = counter()
        train(run, model, plan(model, epochs=2), every=every)
        weights.append(torch.cat([p.detach().flatten() for p in model.parameters()]))

    assert torch.equal(*weights)


def test_a_rule_that_fires_is_told_once_and_written_down(run):
    model = counter()
    for parameter in model.parameters():
        parameter.register_hook(lambda gradient: gradient * 1e-12)
    watch = train(run, model, plan(model, epochs=2))

    told = [line for line in warnings(run) if "VanishingGradient" in line]
    verdict = json.loads((run.path / "rule-output" / "VanishingGradient.json").read_text())
    quiet = json.loads((run.path / "rule-output" / "ExplodingTensor.json").read_text())
    assert watch.found_issues() and len(told) == 1 and "Use ReLU" in told[0]
    assert verdict["RuleEvaluationStatus"] == "IssuesFound"
    assert quiet["RuleEvaluationStatus"] == "NoIssuesFound"


def test_nothing_is_written_where_nothing_is_asked_for(run):
    model = counter()
    watch = train(run, model, plan(model), rules=[], every=0)

    assert not watch.found_issues()
    assert not any((run.path / name).exists() for name in ("debug-output", "rule-output"))


def test_the_profiler_writes_its_page(run):
    model = counter()
    train(run, model, plan(model), rules=[], every=0, profiles=True)

    page = (run.path / "rule-output" / "profiler-report.html").read_text()
    assert "forward" in page and "data wait" in page
    assert (run.path / "profiler-output").is_dir()


def test_of_several_members_each_has_its_folder(run):
    model = counter()
    train(run, model, plan(model), member="2")

    assert (run.path / "debug-output" / "2" / "end.json").exists()
    assert (run.path / "rule-output" / "2" / "Overfit.json").exists()


def test_a_resumed_training_goes_on_counting(run):
    model = counter()
    watch = watching.Watch(run, rules=RULES, every=2, profiles=False)
    watch.start(model, plan(model).optimizer, 20)
    watch.phase(7, "data")
    watch.stop()

    assert json.loads((run.path / "debug-output" / "end.json").read_text())["steps"]["train"] == 7


def test_a_debugger_that_fails_does_not_hurt_the_training(run, monkeypatch):
    def fails(self, figures):
        raise ValueError("lost\nits way")

    monkeypatch.setattr(watching.Watch, "_epoch_end", fails)
    model = counter()
    kept = Kept(model)
    watch = watching.Watch(run, rules=RULES, every=2, profiles=False)

    history = fit(
        model,
        plan(model, epochs=2),
        train=batches(IDS[:48], "none"),
        val=batches(IDS[48:]),
        save=kept,
        watchers=[watch],
    )

    assert len(history) == 2
    (line,) = warnings(run)
    assert "lost its way" in line and "training goes on" in line


def test_an_unknown_rule_is_answered_with_the_nearest():
    with pytest.raises(SettingsError, match=r"train\.rules.*did you mean Overfit\?"):
        watching.check_rules(["Overfitt"])
