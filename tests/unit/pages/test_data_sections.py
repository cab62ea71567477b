import json
import shutil

import pytest

from stocktake.errors import DataError
from stocktake.pages import data_sections, page
from stocktake.pages.data_sections import gathered, is_painted
from stocktake.pages.standing import read_stages

HOSTILE = "<script>alert(1)</script>"


@pytest.fixture
def facts_changed(demo):
    """The stages, with facts.json changed."""

    def change(**values):
        path = demo / "explore/artifacts/facts.json"
        path.write_text(json.dumps(json.loads(path.read_text()) | values))
        return read_stages(demo)

    return change


@pytest.mark.parametrize(
    ("photos", "most", "labels"),
    [
        ({"2": 5, "10": 1, "1": 3}, 4, {"1": 3, "2": 5, "10": 1}),
        ({"1": 3, "2": 5, "10": 1}, 2, {"1": 3, "2+": 6}),
        ({}, 3, {}),
    ],
)
def test_counts_rise_and_the_largest_are_gathered(photos, most, labels):
    assert list(gathered(photos, most).items()) == list(labels.items())


def test_labels_can_be_those_of_all_folds():
    assert gathered({"2": 5}, 3, among=[1, 2, 3, 4]) == {"1": 0, "2": 5, "3+": 0}


@pytest.mark.parametrize(
    ("source", "is_so"),
    [
        ("runs/demo/paint/artifacts/bucket", True),
        ("runs/demo/paint/artifacts/bucket/", True),
        ("runs/other/artifacts/bucket", False),
        ("s3://paint/bucket", False),
        ("", False),
    ],
)
def test_photos_are_painted_if_they_come_from_a_paint_run(source, is_so):
    assert is_painted({"source": source}, {}) is is_so


def test_real_photos_beside_an_idle_paint_stage_are_not_painted(stages):
    assert not is_painted({"source": "s3://some-bucket"}, stages)


def test_everything_listed_is_accounted_for(stages):
    facts = data_sections.ingested(stages)
    text = page.render("ingested.html", **facts)

    assert "Of 61 listed" in text and "58 photos were taken" in text and "3 rejected" in text
    assert "58 in all" in facts["told"] and facts["is_painted"]


def test_rejects_are_counted_by_reason_with_an_example(stages):
    facts = data_sections.rejected(stages)
    text = page.render("rejected.html", **facts)

    assert {row["reason"]: row["n"] for row in facts["reasons"]} == {
        "missing-metadata": 2,
        "unreadable": 1,
    }
    assert "&lt;img src=x onerror=alert(1)&gt;.jpg" in text and "<img" not in text


def test_without_rejects_there_is_no_such_section(demo):
    from stocktake.schema import photos as schema
    from stocktake.store.tables import write_table

    path = demo / "ingest/artifacts/rejects.parquet"
    write_table(path, schema.REJECTS.empty_table(), format=schema.REJECTS_FORMAT)

    assert data_sections.rejected(read_stages(demo)) is None


def test_samples_stand_by_count_with_the_number_there_is(stages):
    facts = data_sections.samples(stages)

    assert [row["count"] for row in facts["rows"]] == [1, 2, 3] and facts["left_out"] == 0
    assert all(len(row["photos"]) == 2 and row["photos"][0]["uri"] for row in facts["rows"])
    assert sum(row["n"] for row in facts["rows"]) == 58


def test_of_many_counts_samples_of_the_commonest_are_shown(facts_changed, demo):
    samples = demo / "explore/artifacts/samples"
    for count in range(4, 30):
        shutil.copytree(samples / "1", samples / str(count))
    by_count = {str(count): count for count in range(1, 30)}
    stages = facts_changed(counts={"photos_by_count": by_count})
    facts = data_sections.samples(stages)

    assert [row["count"] for row in facts["rows"]] == list(range(18, 30))
    assert "17 rarer ones are not shown" in page.render("samples.html", **facts)


def test_without_sample_photos_there_is_no_such_section(demo):
    shutil.rmtree(demo / "explore/artifacts/samples")

    assert data_sections.samples(read_stages(demo)) is None


def test_colours_have_swatch_name_and_share(stages):
    facts = data_sections.colours(stages)
    one = facts["rows"][0]["colours"][0]
    text = page.render("colours.html", **facts)

    assert f'style="background: {one["hex"]}"' in text and one["name"] in text
    assert f"{one['share']:.0%}" in text and "CIELAB" in text


@pytest.mark.parametrize("hex", ["red; background: url(//x)", "#12345", "#1234567", "url(#a)"])
def test_a_colour_that_is_none_does_not_reach_a_style(facts_changed, hex):
    row = {"hex": hex, "name": "red", "share": 0.5}
    colours = {"space": "s", "names": "n", "photos_per_count": 1, "by_count": {"1": [row]}}

    with pytest.raises(DataError, match="expected one like"):
        data_sections.colours(facts_changed(colours=colours))


def test_dimensions_have_a_plot_and_a_line_each(stages):
    facts = data_sections.dimensions(stages)

    assert [one["svg"].startswith("<svg") for one in facts["plots"]] == [True] * 3
    assert facts["plots"][0]["told"].startswith("Width of 58 photos, from 60 to 66 px")
    assert "width / height" in page.render("dimensions.html", **facts)


def test_photos_of_one_size_are_one_bar_that_names_it(facts_changed):
    one = {"edges": [224.0, 224.0], "photos": [58]}
    width = {"n": 58, "min": 224.0, "median": 224.0, "max": 224.0, "histogram": one}
    facts = data_sections.dimensions(facts_changed(width_px=width))

    assert facts["plots"][0]["told"] == "Width of 58 photos, all 224 px."
    assert ">224</text>" in facts["plots"][0]["svg"]


def test_facts_of_another_format_are_to_be_made_again(facts_changed):
    with pytest.raises(
        DataError, match=r"has format facts/1, expected facts/\d; run explore again"
    ):
        data_sections.dimensions(facts_changed(format="facts/1"))


def test_what_bins_hold_is_told_with_siblings_and_doubtful_records(facts_changed):
    shown = [{"photo_id": "00007", "count": 3, "items": 2}]
    stages = facts_changed(differing_sums={"photos": 1, "shown": shown})
    text = page.render("held.html", **data_sections.held(stages))

    assert "1 photo whose items do not sum up to the count (00007: 2 for 3)" in text
    assert "show the same bin as another" in text


def test_folds_add_up(stages):
    facts = data_sections.folds(stages)

    assert [row["fold"] for row in facts["rows"]] == ["train", "val", "calib", "test"]
    assert facts["n"] == sum(facts["all"]) == 58
    assert all(sum(row["counts"]) == row["n"] for row in facts["rows"])
    assert page.render("folds.html", **facts).count("<tr>") == 6


def test_what_was_painted_is_said(stages):
    text = page.render("painted.html", **data_sections.painted(stages))

    assert "60 photos of bins painted with known counts, 120 items in all" in text


@pytest.mark.parametrize(("text", "told"), [(None, "is not there"), ("{", "cannot be read")])
def test_a_json_file_that_cannot_be_read_names_itself_and_its_stage(tmp_path, text, told):
    path = tmp_path / "facts.json"
    if text:
        path.write_text(text)

    with pytest.raises(DataError, match=rf"facts\.json {told}.*run explore again"):
        data_sections.read_json(path, "explore")


def test_leaks_are_told_for_this_split_and_a_random_one(stages):
    facts = data_sections.leaks(stages)
    text = page.render("leaks.html", **facts)

    assert list(facts["sides"]) == ["this split", "a random split"]
    assert "<b>None</b> of" in text and "in 10 draws" in text
    assert text.count("counted right") == 2
    assert [len(rule["cells"]) for rule in facts["rules"]] == [2, 2, 2]


def test_a_split_that_leaks_is_marked_and_its_pairs_are_named(demo, reword):
    audit = demo / "split/artifacts/audit.json"
    shown = [{"photos": ["00001", HOSTILE], "folds": ["train", "test"]}]
    pairs = {"pairs": 3, "torn_groups": 2, "shown": shown}
    reword(audit, pairs_across=pairs, random=None)
    result = json.loads((demo / "split/result.json").read_text())["result"]
    reword(demo / "split/result.json", result=result | {"leaked": 2, "kept": 1})
    text = page.render("leaks.html", **data_sections.leaks(read_stages(demo)))

    assert '<span class="bad">2</span> of' in text and "1 photo stayed" in text
    assert "3 sibling pairs of" in text and "<td>00001</td><td>train</td><td>&lt;script&gt;" in text
    assert "draws" not in text


def test_a_run_without_an_audit_says_what_to_do(demo):
    (demo / "split/artifacts/audit.json").unlink()

    with pytest.raises(DataError, match=r"audit\.json is not there; run split again"):
        data_sections.leaks(read_stages(demo))
