from dataclasses import replace

from stocktake.pages import page, run_sections
from stocktake.pages.standing import read_stages


def test_every_stage_has_a_row_with_time_speed_and_fingerprint(stages):
    facts = run_sections.timings(stages)
    rows = {row["name"]: row for row in facts["rows"]}

    assert list(rows) == list(stages) and facts["missing"] == []
    assert rows["train"]["speed"] == {"value": 40.0, "unit": "photos/s"}
    assert rows["serve"]["speed"]["unit"] == "ms a photo" and rows["split"]["speed"] is None
    assert rows["train"]["fingerprint"] == "mark-of-train"
    assert max(row["share"] for row in rows.values()) == 1.0
    assert facts["total"] == sum(stage.seconds for stage in stages.values())


def test_a_stage_that_has_not_ended_has_no_time(stages):
    cut = replace(stages["train"], status="running", seconds=None)
    facts = run_sections.timings({"train": cut})

    assert facts["rows"][0]["seconds"] is None and facts["total"] == 0
    assert "running" in page.render("timings.html", **facts)


def test_stages_of_one_machine_are_told_together(stages):
    (block,) = run_sections.machine({name: stages[name] for name in ("train", "score")})["blocks"]

    assert block["stages"] == ["train", "score"]


def test_another_machine_is_told_apart(stages):
    other = {**stages["score"].info, "machine": {"system": "elsewhere", "cpus": 64}}
    mixed = {"train": stages["train"], "score": replace(stages["score"], info=other)}
    facts = run_sections.machine(mixed)

    assert [block["stages"] for block in facts["blocks"]] == [["train"], ["score"]]
    assert "elsewhere" in page.render("machine.html", **facts)


def test_runs_that_say_nothing_of_their_machine_have_no_such_section(stages):
    silent = replace(stages["train"], info={"machine": None})

    assert run_sections.machine({"train": silent}) is None


def test_warnings_are_listed_with_their_stage(stages):
    assert ("train", "look at this") in run_sections.warnings(stages)["rows"]
    assert run_sections.warnings({"split": stages["split"]}) is None


def test_settings_that_cannot_be_read_cost_only_their_own_table(demo):
    (demo / "train/settings.json").write_text("{")
    facts = run_sections.settings(read_stages(demo))
    found = dict(facts["rows"])

    assert found["train"] is None and found["split"]["test_frac"] == 0.3
    assert page.render("settings.html", **facts).count("cannot be read") == 1


def test_a_damaged_result_costs_only_the_speed(demo):
    (demo / "train/result.json").write_text("{")
    rows = {row["name"]: row for row in run_sections.timings(read_stages(demo))["rows"]}

    assert rows["train"]["speed"] is None and rows["train"]["seconds"] is not None
    assert rows["score"]["speed"]["value"] == 99.0
