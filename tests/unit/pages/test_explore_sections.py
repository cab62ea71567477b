import json
import re

import pytest

from stocktake.pages import explore_sections, page
from stocktake.pages.standing import read_stages


@pytest.fixture
def facts_changed(demo):
    """The stages, with facts.json changed by a function."""

    def change(how):
        path = demo / "explore/artifacts/facts.json"
        facts = json.loads(path.read_text())
        how(facts)
        path.write_text(json.dumps(facts))
        return read_stages(demo)

    return change


def text_of(name, stages):
    text = page.render(f"{name}.html", **getattr(explore_sections, name)(stages))
    return " ".join(re.sub(r"<[^>]+>", " ", re.sub(r"<svg.*?</svg>", "", text, flags=re.S)).split())


def test_items_are_told_in_plots_and_a_table(stages):
    facts = explore_sections.items(stages)

    assert [one["svg"].startswith("<svg") for one in facts["plots"]] == [True, True]
    assert "58 bins" in facts["plots"][0]["told"]
    assert facts["sizes"] == []  # these records have none


def test_sizes_of_pieces_and_of_whole_bins_stand_in_one_table(facts_changed):
    measure = {"n": 5, "missing": 2, "p5": 1.0, "median": 2.0, "p95": 3.0, "max": 4444.0}

    def change(facts):
        facts["sizes"]["length_in"] = measure
        facts["volume_in3_per_photo"] = measure | {
            "histogram": {"edges": [0, 1], "photos": [5], "beyond": 1}
        }

    text = text_of("items", facts_changed(change))

    assert "piece, length, in 5 2 1 2 3 4,444" in text
    assert "the last bar takes 1 above 1, up to 4,444" in text


def test_photos_without_items_have_no_such_section(facts_changed):
    def change(facts):
        facts["quantity_per_product"] = {"n": 0}

    assert explore_sections.items(facts_changed(change)) is None


def test_larger_whole_numbers_are_gathered_in_the_last_bar():
    times = {str(n): 1 for n in range(30)} | {"30+": 5}
    made = explore_sections._gathered(times)

    assert len(made) == explore_sections.MOST_BARS
    assert made["9+"] == 26 and sum(made.values()) == 35
    assert explore_sections._gathered({"1": 2, "30+": 3}) == {"1": 2, "30+": 3}


def test_empty_and_full_bins_are_told_with_pictures(facts_changed):
    def change(facts):
        row = {"photo_id": "00003", "count": 90, "volume_in3": 7000.5}
        facts["fullness"]["crowded"] = {"over": 17.0, "photos": 1, "shown": [row]}
        facts["fullness"]["over_full"] |= {"over_in3": 5000.0, "photos": 3}
        facts["pictures"] = ["00003"]

    stages = facts_changed(change)
    text = text_of("fullness", stages)

    assert "1 photo with more than 17 items" in text
    assert "3 photos whose items take more than 5,000 in³" in text
    assert "90 true, 7,000 in³ photo 00003" in text or "90 true, 7,001 in³ photo 00003" in text
    assert "not on record" in text


def test_what_happened_between_siblings_is_shown_by_kind(facts_changed):
    def change(facts):
        row = {"first": "00003", "second": "00004", "from": 3, "to": 2, "kind": "pick", "moved": 1}
        facts["moves"]["same_count"] = 0.0
        facts["moves"]["kinds"]["pick"] |= {"pairs": 7, "one_piece": 6, "shown": [row]}

    stages = facts_changed(change)
    facts = explore_sections.moves(stages)
    (pick,) = (row for row in facts["rows"] if row["word"] == "pick")
    text = text_of("moves", stages)

    assert all(uri.startswith("data:image/jpeg") for uri in pick["pictures"][0]["uris"])
    assert "none keeps the count" in facts["plots"][0]["told"]
    assert "pick items went, none came 7" in text
    assert "3 then 2 , 1 piece moved photos 00003 and 00004" in text


def test_without_siblings_there_is_no_such_section(facts_changed):
    assert explore_sections.moves(facts_changed(lambda f: f["moves"].update(pairs=0))) is None


def test_suspicious_counts_come_by_reason_with_what_was_found(facts_changed):
    shown = [
        {"reason": "sum-differs", "photo_ids": ["00003"], "told": "count 5, its items sum up to 4"},
        {"reason": "count-moved", "photo_ids": ["00004", "00005"], "told": "count 3, then 2"},
    ]

    def change(facts):
        facts["suspects"] |= {"cases": 2, "shown": shown}
        facts["suspects"]["by_reason"] |= {"sum-differs": 1, "count-moved": 1}

    text = text_of("suspects", facts_changed(change))

    assert "items do not sum up to the count 1" in text
    assert "count 5, its items sum up to 4 photo 00003" in text
    assert "count 3, then 2 photos 00004, 00005" in text


def test_no_suspicious_counts_are_said_in_a_sentence(facts_changed):
    def change(facts):
        facts["suspects"] |= {"cases": 0, "shown": []}

    assert text_of("suspects", facts_changed(change)).startswith("None: items sum up")


def test_every_reason_and_kind_has_its_words():
    from stocktake.data import moves, suspects

    assert tuple(explore_sections.REASON_WORDS) == suspects.REASONS
    assert tuple(explore_sections.MOVE_WORDS) == moves.KINDS


def test_sharpness_and_exposure_show_the_worst(facts_changed):
    def change(facts):
        burnt = [{"photo_id": "00003", "bright": 0.02}, {"photo_id": "00004", "bright": 0.0004}]
        facts["quality"]["most_burnt"] = burnt

    stages = facts_changed(change)
    facts = explore_sections.quality(stages)

    assert len(facts["plots"]) == 3
    assert [title for title, _ in facts["shelves"]] == ["Most blurred", "Darkest", "Most burnt"]
    assert all(one["uri"] for _, some in facts["shelves"] for one in some)
    assert [one["photo_id"] for one in facts["shelves"][2][1]] == ["00003"]
    assert "variance of the Laplacian" in text_of("quality", stages)


def test_photos_that_cannot_be_decoded_are_named_even_where_none_can(facts_changed):
    def change(facts):
        facts["undecodable"] = {
            "photos": 58,
            "shown": [{"photo_id": "00003", "error": "<b>photo is cut short"}],
        }
        facts["quality"] |= {"photos": 0, "most_blurred": [], "darkest": [], "most_burnt": []}

    stages = facts_changed(change)

    assert "58 photos of 58 cannot be decoded any more and are left out here: 00003" in text_of(
        "quality", stages
    )
    assert "&lt;b&gt;photo is cut short" in page.render(
        "quality.html", **explore_sections.quality(stages)
    )


def test_equal_photos_are_shown_once_with_all_their_ids(facts_changed):
    def change(facts):
        same = {"groups": 1, "photos": 2, "shown": [["00003", "00009"]]}
        none = {"groups": 0, "photos": 0, "shown": []}
        facts["duplicates"] = {"same_bytes": same, "same_pixels": none}

    text = text_of("duplicates", facts_changed(change))

    assert "the same file 2 photos in 1 group" in text
    assert "the same pixels in different files none" in text
    assert "2 times 00003, 00009" in text


def test_an_id_that_is_no_kept_picture_never_becomes_a_path(facts_changed, demo):
    (demo / "secret.jpg").write_bytes((next((demo / "explore").rglob("*.jpg"))).read_bytes())

    def change(facts):
        facts["quality"]["darkest"] = [{"photo_id": "../../../secret", "luma": 0.1}]

    facts = explore_sections.quality(facts_changed(change))

    assert "Darkest" not in [title for title, _ in facts["shelves"]]
