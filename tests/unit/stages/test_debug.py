import json
import math
from pathlib import Path
from typing import Any

import pytest

from stocktake.debugger import files
from stocktake.debugger.records import Record, Row
from stocktake.errors import RunError, SettingsError
from stocktake.runs.folder import RunFolder
from stocktake.stages import debug


def losses(*epochs: tuple[list[float], float], start: float = 100.0) -> list[Row]:
    """Rows of a training: each epoch's training losses, and its validation loss."""
    rows, step, now = [], 0, start
    for number, (trained, validated) in enumerate(epochs):
        for value in trained:
            now += 1
            rows.append(row(step, "train", "loss", "losses", value, now))
            step += 1
        now += 1
        mean = sum(trained) / len(trained)
        rows.append(row(number, "eval", "loss", "losses", validated, now))
        rows.append(row(number, "eval", "train_loss", "scalars", mean, now))
    return rows


def row(step: int, mode: Any, name: str, collection: str, value: float, now: float) -> Row:
    return Row(
        step=step,
        mode=mode,
        name=name,
        collection=collection,
        statistic="value",
        value=value,
        time=now,
    )


HEALTHY = [([2.0, 1.9, 2.1, 1.8, 1.7], 1.9), ([1.5, 1.6, 1.4, 1.5, 1.3], 1.5)]
OVERFIT = [([2.0, 1.9, 2.1, 1.8, 1.7], 1.9), ([0.5, 0.6, 0.4, 0.5, 0.3], 2.5)]


def recorded(folder: Path, rows: list[Row], *, ended: bool = True) -> debug.Watched:
    import pyarrow.parquet as pq

    record = folder / "debug-output"
    record.mkdir(parents=True)
    pq.write_table(files.table_of(rows), record / "part-000001-w0.parquet")
    if ended:
        (record / "end.json").write_text(json.dumps({"status": "done"}))
    return debug.Watched(record=record, profile=folder / "none", rules=folder / "rule-output")


def stand(watched: debug.Watched, *names: str, **options: Any) -> dict[str, str]:
    rows = debug.judge(watched, debug.asked(names, **options))
    return {one["RuleConfigurationName"]: one["RuleEvaluationStatus"] for one in rows}


def test_noise_between_steps_is_no_issue_but_client_defaults_see_one(tmp_path):
    epochs = [([3 - e + 0.2 * math.sin(5 * i) for i in range(20)], 2.9 - e) for e in range(3)]
    watched = recorded(tmp_path, losses(*epochs))
    names = ("Overtraining", "LossNotDecreasing", "PoorWeightInitialization", "Overfit")

    assert set(stand(watched, *names).values()) == {"NoIssuesFound"}
    assert stand(watched, *names, profile="client")["Overtraining"] == "IssuesFound"


def test_an_epoch_whose_loss_did_not_fall_is_an_issue(tmp_path):
    watched = recorded(tmp_path, losses(*HEALTHY, ([1.5, 1.6, 1.4, 1.5, 1.3], 1.5)))

    assert stand(watched, "LossNotDecreasing") == {"LossNotDecreasing": "IssuesFound"}


def test_a_rule_tells_step_evidence_and_advice_in_one_line(tmp_path):
    (found,) = debug.judge(recorded(tmp_path, losses(*OVERFIT)), debug.asked(["Overfit"]))
    text = debug.line(found)

    assert text.startswith("Overfit at eval step 1: loss is 2.5 in validation")
    assert "Stop earlier" in text and "\n" not in text


def test_parameters_set_at_the_end_win(tmp_path):
    watched = recorded(tmp_path, losses(*OVERFIT))
    loose = {"overfit": {"ratio_threshold": 9.0}}

    assert stand(watched, "Overfit", more=loose) == {"Overfit": "NoIssuesFound"}
    named = {"name": "Overfit", "ratio_threshold": 9.0}
    assert debug.judge(watched, debug.asked([named]))[0]["findings"] == 0


def test_a_gradient_that_a_norm_makes_nothing_of_is_not_judged(tmp_path):
    def gradient(name: str) -> Row:
        return Row(
            step=0,
            mode="train",
            name=f"gradient/{name}",
            collection="gradients",
            statistic="abs_mean",
            value=1e-10,
            time=1.0,
        )

    watched = recorded(tmp_path / "a", [gradient("bn.bias")])
    assert stand(watched, "VanishingGradient") == {"VanishingGradient": "NoIssuesFound"}
    assert stand(watched, "VanishingGradient", profile="client") == {
        "VanishingGradient": "IssuesFound"
    }

    watched = recorded(tmp_path / "b", [gradient("conv.weight")])
    assert stand(watched, "VanishingGradient") == {"VanishingGradient": "IssuesFound"}


def test_unknown_rules_and_parameters_are_refused_with_the_nearest_name():
    with pytest.raises(SettingsError, match="no rule 'Overfi'; did you mean 'Overfit'"):
        debug.asked(["Overfi"])
    with pytest.raises(SettingsError, match="Overfit has no parameter 'ratio'"):
        debug.asked([{"name": "Overfit", "ratio": 1}])
    with pytest.raises(SettingsError, match="BatchSize"):
        debug.asked([{"name": "ProfilerReport", "BatchSize_windov": 1}])


def test_names_may_be_written_otherwise_and_all_names_every_rule():
    assert [name for name, _ in debug.asked(["vanishing-gradient"]).of_record] == [
        "VanishingGradient"
    ]
    assert len(debug.asked(["all"]).of_record) > 10
    kinds = debug.asked(["LowGPUUtilization", "ProfilerReport", "Overfit"])
    assert [name for name, _ in kinds.of_profile] == ["LowGPUUtilization", "ProfilerReport"]


def test_a_run_is_found_by_name_and_folder_and_a_record_by_its_own(tmp_path):
    train = RunFolder.begin(
        tmp_path / "runs/demo/train", about={"stage": "train"}, settings={"rules": ["Overfit"]}
    )
    recorded(train.path, losses(*HEALTHY))
    places = ("demo", str(tmp_path / "runs/demo"), str(train.path))
    found = [debug.find(place, tmp_path / "runs")[0] for place in places]

    assert {one.record for one in found} == {train.path / "debug-output"}
    assert found[0].names == ("Overfit",)
    assert debug.find(str(train.path / "debug-output"))[0].run is None
    with pytest.raises(RunError, match="holds no debug-output"):
        debug.find("nothing", tmp_path / "runs")


def test_members_are_judged_each(tmp_path):
    for member in ("member-1", "member-2"):
        (tmp_path / "train" / "debug-output" / member).mkdir(parents=True)

    assert [one.member for one in debug.find(str(tmp_path))] == ["member-1", "member-2"]


def test_a_training_that_died_is_not_waited_for(tmp_path):
    watched = recorded(tmp_path, losses(*OVERFIT), ended=False)
    told: list[Any] = []
    (found,) = debug.judge(watched, debug.asked(["Overfit"]), live=True, tell=told.append)

    assert found["RuleEvaluationStatus"] == "IssuesFound" and len(told) == 1


def test_steps_in_an_epoch_are_read_from_the_record():
    assert debug.steps_in_epoch(Record(losses(*HEALTHY))) == 5
    assert debug.steps_in_epoch(Record(losses(*HEALTHY)[:3])) == 3


def test_verdicts_are_kept_a_file_each(tmp_path):
    rows = debug.judge(recorded(tmp_path, losses(*OVERFIT)), debug.asked(["Overfit", "AllZero"]))
    debug.keep(tmp_path / "rule-output", rows)

    kept = json.loads((tmp_path / "rule-output" / "Overfit.json").read_text())
    assert kept["RuleEvaluationStatus"] == "IssuesFound" and kept["first"]["step"] == 1
    assert (tmp_path / "rule-output" / "AllZero.json").exists()
