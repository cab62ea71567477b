import json

import pytest

from stocktake.pages import model_sections, page
from stocktake.pages.standing import read_stages


def metric(step, name, value):
    return {"step": step, "name": name, "value": value, "time": 0.0}


def test_of_an_epoch_done_twice_the_later_value_counts():
    rows = [metric(1, "val_loss", 3.0), metric(2, "val_loss", 2.0), metric(1, "val_loss", 2.5)]

    assert model_sections.curves_of(rows, last=None) == {"val_loss": [(1.0, 2.5), (2.0, 2.0)]}


def test_epochs_beyond_the_attempt_that_counts_are_left_out():
    rows = [metric(epoch, "val_loss", 1.0) for epoch in (1, 2, 3)]

    assert len(model_sections.curves_of(rows, last=2)["val_loss"]) == 2


def test_training_tells_curves_kept_epoch_and_how_many_photos_judged_it(stages):
    facts = model_sections.training(stages)
    text = page.render("training.html", **facts)

    assert [one["svg"].startswith("<svg") for one in facts["plots"]] == [True, True]
    assert "train 66.7%" not in facts["plots"][0]["told"]
    assert "train 60.0%, validation 75.0%" in facts["plots"][1]["told"]
    photos = stages["split"].run.result()["photos_by_fold"]["val"]
    assert "epoch 2 of 3" in text and f"50.0% of {photos} validation photos" in text
    assert "<dt>first weights</dt><dd>random</dd>" in text


@pytest.mark.parametrize("status", ["running", "failed", "stopped"])
def test_training_that_did_not_finish_shows_the_epochs_it_had(demo, reword, status):
    reword(demo / "train/run.json", status=status)
    facts = model_sections.training(read_stages(demo))

    assert facts["result"] is None and len(facts["plots"]) == 2
    assert "epochs so far" in page.render("training.html", **facts)


def test_training_before_its_first_epoch_shows_nothing(demo):
    (demo / "train/metrics.jsonl").unlink()

    assert model_sections.training(read_stages(demo)) is None
    assert model_sections.training({}) is None


def test_trials_are_told_with_the_best_one_marked(stages):
    facts = model_sections.tuning(stages)
    text = page.render("tuning.html", **facts)

    assert facts["best"] == 2 and facts["params"] == ["train.optimizer.lr"]
    assert "3 trials by gp, looking for the lowest val_loss; fixed for trials: epochs 1" in text
    assert text.count('<tr class="mark">') == 1 and "train.optimizer.lr = 0.001" in text
    assert "failed: no luck &lt;script&gt;" in text
    assert facts["plot"].startswith("<svg") and "of 2 trials" in facts["told"]


def test_a_search_without_a_good_trial_has_no_best(demo, reword):
    path = demo / "tune/artifacts/tune.json"
    trials = json.loads(path.read_text())["trials"]
    reword(path, trials=trials[1:2], best=None, direction="maximize")
    facts = model_sections.tuning(read_stages(demo))
    text = page.render("tuning.html", **facts)

    assert facts["plot"] == "" and "No trial has finished well." in text
    assert "highest" in text and 'class="mark"' not in text


def test_a_search_in_progress_is_shown_as_far_as_it_came(demo, reword):
    reword(demo / "tune/run.json", status="stopped")
    assert model_sections.tuning(read_stages(demo))["n"] == 3

    reword(demo / "tune/artifacts/tune.json", trials=[])
    assert model_sections.tuning(read_stages(demo)) is None


def test_of_many_trials_the_first_are_shown_and_the_best_in_any_case(demo, reword):
    path = demo / "tune/artifacts/tune.json"
    first = json.loads(path.read_text())["trials"][0]
    best = {"number": 90, "params": first["params"], "value": 0.1}
    reword(path, trials=[first | {"number": i, "value": 1.0} for i in range(100)], best=best)
    facts = model_sections.tuning(read_stages(demo))

    assert len(facts["trials"]) == model_sections.TRIALS_SHOWN
    assert facts["trials"][-1]["number"] == 90
    assert "60 further trials not shown" in page.render("tuning.html", **facts)
