from pathlib import Path

import pytest

from stocktake.errors import DataError
from stocktake.pages import sections as table
from stocktake.pages.sections import GROUPS, HEADLINE, PROVENANCE, SECTIONS, Section
from stocktake.pages.standing import read_stages

TEMPLATES = Path(table.__file__).parent / "templates"


def raising(error):
    def read(stages):
        raise error

    return read


def section(name, read, needs=("ingest",)):
    return Section(name, name.title(), "Data", needs, read)


def test_every_section_has_its_own_template_and_no_template_is_idle():
    names = [one.name for one in (*SECTIONS, HEADLINE, PROVENANCE)]
    frame = {"page", "macros"}

    assert sorted(names) == sorted({p.stem for p in TEMPLATES.glob("*.html")} - frame)


def test_sections_stand_below_the_headings_in_their_order():
    groups = [GROUPS.index(one.group) for one in SECTIONS]

    assert groups == sorted(groups) and set(groups) == set(range(len(GROUPS)))


@pytest.mark.parametrize("one", [*SECTIONS, HEADLINE, PROVENANCE], ids=lambda one: one.name)
def test_each_section_can_be_made_of_a_whole_run(stages, one):
    made = table.make_one(one, stages)

    assert made is not None and made.problem == "" and len(made.html) > 40


def test_a_section_whose_stages_are_not_done_is_left_out(stages):
    missing = section("far", raising(AssertionError("not to be read")), needs=("ingest", "flight"))

    assert table.make_one(missing, stages) is None


def test_a_section_with_nothing_to_show_is_left_out(stages):
    assert table.make_sections(stages, [section("empty", lambda stages: None)]) == []


def test_our_own_error_is_told_as_it_is(stages):
    (made,) = table.make_sections(stages, [section("bad", raising(DataError("it is cut")))])

    assert made.problem == "it is cut" and made.html == ""


@pytest.mark.parametrize("error", [KeyError("mean"), TypeError("no"), ZeroDivisionError("by 0")])
def test_any_damage_is_a_line_that_says_which_stage_to_run_again(stages, error):
    (made,) = table.make_sections(stages, [section("bad", raising(error))])

    assert type(error).__name__ in made.problem and "run ingest again" in made.problem


def test_facts_that_do_not_fit_the_template_are_damage_too(stages):
    (made,) = table.make_sections(stages, [section("folds", lambda stages: {"rows": 3})])

    assert "damaged" in made.problem


def test_a_mistake_of_ours_is_not_hidden(stages):
    with pytest.raises(AssertionError):
        table.make_sections(stages, [section("bad", raising(AssertionError("ours")))])


def test_the_same_damage_is_told_once_for_all_it_costs(stages):
    parts = [
        section("first", raising(DataError("it is cut"))),
        section("second", raising(DataError("it is cut"))),
        section("third", raising(DataError("another"))),
    ]

    made = table.make_sections(stages, parts)

    assert [(one.title, one.problem) for one in made] == [
        ("First, Second", "it is cut"),
        ("Third", "another"),
    ]


@pytest.mark.parametrize(
    ("artifact", "costs"),
    [
        (
            "explore/artifacts/facts.json",
            "Samples, Dominant colours, Dimensions, Sharpness and exposure, Equal photos,"
            " What the bins hold, Items on record, Empty and full bins, Between siblings,"
            " Suspicious counts",
        ),
        ("ingest/artifacts/rejects.parquet", "Rejects"),
        ("serve/artifacts/answers.json", "Over HTTP"),
        ("export/artifacts/bundle/parity.json", "Bundle"),
        ("predict/artifacts/predictions.parquet", "Predictions"),
        ("evaluate/artifacts/calibration.json", "Calibration"),
        ("score/artifacts/scores.parquet", "Worth a look"),
        ("tune/artifacts/tune.json", "Tuning"),
        ("train/metrics.jsonl", "Learning curves"),
        ("split/result.json", "Folds, Leaks"),
        ("split/artifacts/audit.json", "Leaks"),
    ],
)
def test_a_damaged_file_costs_what_is_made_of_it_and_nothing_else(demo, artifact, costs):
    (demo / artifact).write_text('{"cut\n')
    concerned = [
        one
        for one in SECTIONS
        if artifact.split("/")[0] in one.needs or one.name in ("training", "tuning")
    ]

    made = table.make_sections(read_stages(demo), concerned)

    assert [one.title for one in made if one.problem] == [costs]
