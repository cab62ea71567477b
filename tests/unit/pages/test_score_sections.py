import pytest

from stocktake.pages import page, score_sections
from stocktake.pages.standing import read_stages
from stocktake.schema.cards import Calibration, Choice, Estimate, ScoreCard


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


def test_each_decoding_stands_with_what_it_is_meant_for(stages):
    facts = score_sections.scorecard(stages)
    text = page.render("scorecard.html", **facts)

    assert [(way, title) for way, title, _, _ in facts["own"]] == [
        ("mode", "counted right"),
        ("median", "mean error"),
        ("mean", "RMSE"),
        ("mean", "right or off by one"),
        ("window", "right or off by one"),
    ]
    assert text.count("used here") == 2 and "chosen for" not in text and "Judged on" not in text


def test_a_choice_is_told_with_its_fold_and_figures(demo):
    values = {"mean": 0.912, "mode": 1.034}
    choice = Choice(metric="rmse", fold="val", n=31, values=values)
    rewritten(demo, choice=choice, decode="mean")
    text = page.render("scorecard.html", **score_sections.scorecard(read_stages(demo)))

    assert "<b>mean</b>, chosen for RMSE on 31 photos of the val fold" in text
    assert "mean 0.912, mode 1.034." in " ".join(text.split())


def test_what_was_judged_under_is_told(demo):
    fitted = Calibration.read(demo / "evaluate/artifacts/calibration.json")
    used = Calibration(temperature=7.5, coverage=0.9, threshold=0.5, fold="calib", n=3, max_count=3)
    rewritten(demo, counts="1-2", mix="uniform", calibration=used)
    stages = read_stages(demo)
    text = page.render("scorecard.html", **score_sections.scorecard(stages))
    below = page.render("calibration.html", **score_sections.calibration(stages))

    assert "true counts 1-2 alone" in text and "“uniform”" in text
    assert "photos with true counts 1-2 right" in page.render(
        "headline.html", **score_sections.headline(stages)
    )
    assert "of 1-2, which answers are limited to" in below
    assert "Temperature 7.5" in below and "on 3 photos" in below
    assert f"served with temperature {fitted.temperature:.3g}" in below


def slices_in(demo, **changes):
    """The section, with slices of other figures by label."""
    from dataclasses import replace

    card = ScoreCard.read(demo / "evaluate/artifacts/scorecard.json")
    found = []
    for one in card.slices:
        metrics = one.metrics | changes.get(one.label, {})
        found.append(replace(one, is_few=one.label not in changes, metrics=metrics))
    rewritten(demo, slices=found)
    facts = score_sections.slices(read_stages(demo))
    return facts, " ".join(page.render("slices.html", **facts).split())


def test_few_photos_are_shown_and_not_judged(demo):
    facts, text = slices_in(demo)

    assert facts["judged"] == 0 and "too few photos to judge by" in text
    assert text.count("too few to judge<") == sum(len(rows) for _, rows in facts["tables"])


def test_the_weakest_slice_is_named_with_its_interval(demo):
    low = {"accuracy": estimate(0.01, 0.0, 0.02), "rmse": estimate(9.0, 8.0, 9.5)}
    lower = {"accuracy": estimate(0.0, 0.0, 0.01), "rmse": estimate(9.5, 9.0, 9.9)}
    facts = score_sections.slices(read_stages(demo))
    darkest = dict(facts["tables"])["brightness"][0].label
    facts, text = slices_in(demo, **{darkest: low, "3": lower})

    assert "Counted right differs most in “true count: 3”, 0.0% (0.0 to 1.0%, n = " in text
    assert "; the weakest beside true counts is “brightness: darkest" in text
    assert "RMSE differs most in “true count: 3”, 9.50 (9.00 to 9.90" in text


def test_a_slice_better_than_the_whole_is_not_called_weak(demo):
    high = {"accuracy": estimate(1.0, 0.99, 1.0), "rmse": estimate(0.0, 0.0, 0.01)}
    darkest = dict(score_sections.slices(read_stages(demo))["tables"])["brightness"][0].label
    facts, text = slices_in(demo, **{darkest: high})

    for metric in ("accuracy", "rmse"):
        assert facts["apart"][metric]["is_better"] and facts["apart"][metric]["weakest"] is None
    assert text.count("better than the") == 2 and "weakest" not in text


def test_slices_like_the_whole_are_told_as_such(demo):
    wide = {"accuracy": estimate(0.5, 0.0, 1.0), "rmse": estimate(1.0, 0.0, 9.0)}
    facts, text = slices_in(demo, **{"3": wide})

    assert facts["judged"] == 1 and text.count("no slice's interval leaves out") == 2


def test_a_card_from_before_has_no_slices_and_no_own_figures(demo):
    rewritten(demo, slices=[], by_decoding=[], calibration=None)
    stages = read_stages(demo)

    assert score_sections.slices(stages) is None
    assert "meant for" not in page.render("scorecard.html", **score_sections.scorecard(stages))
    assert "Temperature" in page.render("calibration.html", **score_sections.calibration(stages))


def test_each_true_count_has_its_line_with_n_and_intervals(stages):
    facts = score_sections.per_count(stages)
    text = page.render("per-count.html", **facts)

    assert facts["names"] == ["majority", "frequency", "median"]
    assert text.count("<tr><td") == len(facts["rows"]) and "<details>" not in text
    heads = [text.index(f">{title}</th>") for title in ("true count", "right", "RMSE", "photos")]
    assert heads == sorted(heads)  # the challenge's order, then how many


def test_the_table_by_count_ends_in_its_total(stages):
    card = score_sections.card_of(stages)
    text = page.render("per-count.html", **score_sections.per_count(stages))
    total = text[text.index("<tfoot>") : text.index("</tfoot>")]

    assert f"{card.metrics['accuracy'].value:.1%}<small>" in total
    assert f"{card.metrics['rmse'].value:.2f}<small>" in total and f">{card.n}<" in total
    majority = card.baselines["majority"].metrics
    assert f">{majority['accuracy'].value:.1%}<" in total and text.count("<tfoot>") == 1


def test_of_many_counts_the_rest_unfolds(demo):
    card = ScoreCard.read(demo / "evaluate/artifacts/scorecard.json")
    rewritten(demo, per_count=card.per_count[:1] * 20)
    text = page.render("per-count.html", **score_sections.per_count(read_stages(demo)))

    assert "4 larger counts" in text and text.count("<tr><td") == 20
    assert text.count("<tfoot>") == 1 and text.index("<tfoot>") > text.index("<details>")


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


def test_the_surest_answers_are_told_with_what_is_right_among_them(stages):
    facts = score_sections.selective(stages)
    text = page.render("selective.html", **facts)
    card = ScoreCard.read(stages["evaluate"].artifact("scorecard.json"))

    assert len(card.selective) == 10
    assert f"{card.selective[-1].accuracy.n:,}" in text and "surest 10%" in text


def test_a_card_from_before_has_no_surest_answers(demo):
    rewritten(demo, selective=[])

    assert score_sections.selective(read_stages(demo)) is None
