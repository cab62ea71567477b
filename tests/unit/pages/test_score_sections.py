import numpy as np
import pytest

from stocktake.pages import page, score_sections
from stocktake.pages.standing import read_stages
from stocktake.schema import scores as schema
from stocktake.schema.cards import Estimate, ScoreCard
from stocktake.store.tables import read_table


def rewritten(demo, **changes) -> None:
    """The scorecard with some of its fields changed."""
    from dataclasses import replace

    path = demo / "evaluate/artifacts/scorecard.json"
    replace(ScoreCard.read(path), **changes).write(path)


def estimate(value, low, high):
    return Estimate(value=value, n=17, low=low, high=high, method="test 95%")


@pytest.mark.parametrize(
    ("gain", "verdict"),
    [
        (estimate(0.2, 0.1, 0.3), "clearly better than"),
        (estimate(0.2, -0.1, 0.3), "not clearly better than"),
        (estimate(-0.2, -0.3, -0.1), "worse than"),
    ],
)
def test_the_headline_is_no_better_than_its_interval(demo, gain, verdict):
    card = ScoreCard.read(demo / "evaluate/artifacts/scorecard.json")
    rewritten(demo, metrics={**card.metrics, "over_majority": gain})
    text = page.render("headline.html", **score_sections.headline(read_stages(demo)))

    assert f">{verdict} guessing the commonest count<" in text


def test_counts_the_model_cannot_say_are_told_at_the_top(demo):
    rewritten(demo, beyond_max_count=4)
    text = page.render("headline.html", **score_sections.headline(read_stages(demo)))

    assert "4 photos hold more than 3" in text


def test_the_scorecard_stands_beside_every_baseline(stages):
    facts = score_sections.scorecard(stages)
    text = page.render("scorecard.html", **facts)

    for baseline in facts["card"].baselines.values():
        assert baseline.about in text
    accuracy = facts["card"].metrics["accuracy"]
    assert f"{accuracy.value:.1%}<small>{100 * accuracy.low:.1f} to {accuracy.high:.1%}" in text
    assert f"n = {facts['card'].n} photos" in text and "mode, used here" in text


def test_each_true_count_has_its_line_with_n_and_intervals(stages):
    facts = score_sections.per_count(stages)
    text = page.render("per-count.html", **facts)

    assert facts["names"] == ["majority", "frequency", "median"]
    assert text.count("<tr><td") == len(facts["rows"]) and "<details>" not in text


def test_of_many_counts_the_rest_unfolds(demo):
    card = ScoreCard.read(demo / "evaluate/artifacts/scorecard.json")
    rewritten(demo, per_count=card.per_count[:1] * 20)
    text = page.render("per-count.html", **score_sections.per_count(read_stages(demo)))

    assert "4 larger counts" in text and text.count("<tr><td") == 20


def test_the_confusion_shows_counts_with_shares_while_it_is_small(stages):
    facts = score_sections.confusion(stages)
    text = page.render("confusion.html", **facts)
    matrix = ScoreCard.read(stages["evaluate"].artifact("scorecard.json")).confusion

    assert facts["shown"].n == sum(map(sum, matrix))
    assert text.count('<td class="cell') == len(facts["shown"].labels) ** 2
    assert f"{matrix[2][2]}<small>" in text


def test_a_large_confusion_has_numbers_alone_and_says_what_is_gathered(demo):
    rewritten(demo, confusion=[[int(i == j) for j in range(30)] for i in range(30)])
    text = page.render("confusion.html", **score_sections.confusion(read_stages(demo)))

    assert "<small>" not in text and "Counts from 15 are gathered" in text
    assert text.count('<td class="cell') == 16 * 16


def test_calibration_tells_promise_and_what_was_held(stages):
    facts = score_sections.calibration(stages)
    text = page.render("calibration.html", **facts)
    covered = facts["card"].metrics["covered"]

    assert "promise to hold the true count on 90% of photos" in text
    assert f"<b>{covered.value:.1%}</b>" in text and f"{covered.n} test photos" in text
    assert f"fitted on {facts['fitted'].n} photos of the calib fold" in text


def test_surely_wrong_photos_are_wrong_and_the_surest(stages):
    facts = score_sections.doubts(stages)
    table = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    test = schema.of_folds(table, ["test"])
    said, counts = schema.matrix(test).argmax(axis=1), schema.counts(test)

    sure = [one["confidence"] for one in facts["wrong"]]
    assert sure == sorted(sure, reverse=True)
    assert len(facts["wrong"]) == min((said != counts).sum(), score_sections.PICTURES)
    assert all(one["count"] != one["true_count"] for one in facts["wrong"])
    doubtful = [one["confidence"] for one in facts["unsure"]]
    assert doubtful == sorted(doubtful) and doubtful[0] <= min(sure)
    assert all(one["uri"] for one in facts["wrong"] + facts["unsure"])


def test_confidence_is_the_calibrated_one(stages):
    card = score_sections.card_of(stages)
    first = score_sections.doubts(stages)["unsure"][0]
    table = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    place = table["photo_id"].to_pylist().index(first["photo_id"])
    powers = np.exp(schema.matrix(table)[place].astype(np.float64) / card.temperature)

    assert first["confidence"] == pytest.approx(powers.max() / powers.sum())


def test_scores_without_the_judged_fold_show_no_photos(demo):
    rewritten(demo, fold="train")

    assert score_sections.doubts(read_stages(demo)) is None


def test_the_surest_answers_are_told_with_what_is_right_among_them(stages):
    facts = score_sections.selective(stages)
    text = page.render("selective.html", **facts)
    card = ScoreCard.read(stages["evaluate"].artifact("scorecard.json"))

    assert len(card.selective) == 10
    assert f"{card.selective[-1].accuracy.n:,}" in text and "surest 10%" in text


def test_a_card_from_before_has_no_surest_answers(demo):
    rewritten(demo, selective=[])

    assert score_sections.selective(read_stages(demo)) is None
