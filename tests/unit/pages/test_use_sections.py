import json

from stocktake.pages import page, use_sections
from stocktake.pages.standing import read_stages


def test_answers_say_true_count_prediction_confidence_and_interval(stages):
    facts = use_sections.answers(stages)
    text = page.render("answers.html", **facts)

    assert (facts["n"], facts["right"], facts["held"]) == (3, 1, 2)
    assert [row["off"] for row in facts["rows"]] == [0, -1, 1]
    assert "<b>2</b> predicted, <b>3</b> true:" in text and "off by 1" in text
    assert "confidence 50%, 90% interval 1 to 2" in text
    assert text.count("data:image/jpeg;base64,") == 3


def test_bars_of_an_answer_are_as_high_as_its_likeliest_count_is_full(stages):
    bars = use_sections.answers(stages)["rows"][0]["bars"]

    assert [bar["height"] for bar in bars] == [0.2, 0.6, 1.0, 0.2]
    assert [bar["is_in"] for bar in bars] == [False, True, True, False]


def test_a_photo_that_is_gone_leaves_its_answer(demo):
    (demo / "serve/artifacts/photos/00010.jpg").unlink()
    text = page.render("answers.html", **use_sections.answers(read_stages(demo)))

    assert text.count("cannot be read") == 1 and "photo 00010" in text


def test_a_photo_is_never_looked_for_outside_the_run(demo):
    path = demo / "serve/artifacts/answers.json"
    rows = json.loads(path.read_text())
    (demo / "secret.jpg").write_bytes((demo / "serve/artifacts/photos/00010.jpg").read_bytes())
    path.write_text(json.dumps([rows[0] | {"photo_id": "../../../secret"}]))

    assert use_sections.answers(read_stages(demo))["rows"][0]["uri"] is None


def test_of_many_answers_the_first_are_shown_and_all_are_counted(demo):
    path = demo / "serve/artifacts/answers.json"
    rows = json.loads(path.read_text())
    path.write_text(json.dumps(rows * 9))
    facts = use_sections.answers(read_stages(demo))

    assert len(facts["rows"]) == use_sections.ANSWERS_SHOWN and facts["right"] == 9
    assert "The first 10 of 27 are shown." in page.render("answers.html", **facts)


def test_without_a_scorecard_the_interval_has_no_promise(stages):
    text = page.render("answers.html", **use_sections.answers({"serve": stages["serve"]}))

    assert "confidence 50%, interval 1 to 2" in text


def test_the_bundle_tells_its_parity_and_where_it_came_from(stages):
    text = page.render("bundle.html", **use_sections.bundle(stages))

    assert ">2e-6</b>" in text and "the same on 16 of 16" in text
    assert "Trained on &lt;script&gt;" in text and "see NOTICE" in text


def test_predictions_are_counted_and_failures_named(stages):
    facts = use_sections.predictions(stages)
    text = page.render("predictions.html", **facts)

    assert "1 in all" in facts["told"] and facts["plot"].startswith("<svg")
    assert [row["error"][:9] for row in facts["failed"]] == ["cut short"]
    assert "1 photo got no answer" in text and "<script" not in text
