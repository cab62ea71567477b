import dataclasses

import pytest

from stocktake.pages.model_card import card
from stocktake.schema.bundles import Bundle
from stocktake.schema.cards import Accepted, CountRow, Estimate, ScoreCard

PARITY = {"photos": 16, "tolerance": 1e-4, "max_gap": 2.3e-7, "mean_gap": 1e-7, "same_counts": 16}
INT8 = {
    "fold": "val",
    "photos": 200,
    "fitted_on": 64,
    "same_counts": 190,
    "max_gap": 0.03,
    "float32": {"accuracy": 0.523, "nll": 1.2, "ece": 0.05, "covered": 0.91, "size_mb": 13.7},
    "int8": {"accuracy": 0.519, "nll": 1.21, "ece": 0.06, "covered": 0.9, "size_mb": 4.1},
}


def estimate(value: float, spread: float = 0.05) -> Estimate:
    return Estimate(value=value, n=320, low=value - spread, high=value + spread, method="bootstrap")


@pytest.fixture
def bundle() -> Bundle:
    return Bundle(
        max_count=5,
        preprocessing={"side_px": 112, "mean": [0.5] * 3, "std": [0.25] * 3},
        calibration={"temperature": 0.8, "coverage": 0.9, "threshold": 0.84},
        backbone={"name": "timm", "model": "resnet50"},
        head="softmax",
        weights_source="random",
        model_sha256="0" * 64,
        views=4,
        decode="median",
        accept_confidence=0.7,
        train_counts={"1": 100, "2": 1200},
        data="Trained on photos from a bucket.",
        licence="non-commercial | see NOTICE",
        versions={"torch": "2.13.0"},
    )


@pytest.fixture
def judged() -> ScoreCard:
    shares = ((0.1, 0.9, 0.85), (0.2, 0.75, 0.8), (0.3, 0.6, 0.7))
    return ScoreCard(
        fold="test",
        n=320,
        groups=210,
        max_count=5,
        beyond_max_count=0,
        decode="median",
        temperature=0.8,
        coverage=0.9,
        nll_floor=1e-6,
        floored=0,
        metrics={"accuracy": estimate(0.512), "rmse": estimate(0.93), "covered": estimate(0.89)},
        wilson={},
        decodings={},
        baselines={},
        per_count=[
            CountRow(count=2, n=90, accuracy=estimate(0.61), rmse=estimate(0.8), baselines={})
        ],
        confusion=[],
        reliability={},
        selective=[
            Accepted(
                share=share,
                least_confidence=least,
                accuracy=estimate(right),
                within_one=estimate(0.9),
            )
            for share, least, right in shares
        ],
    )


def test_the_card_says_what_the_bundle_is_and_what_it_is_worth(bundle, judged):
    text = card(bundle, judged, PARITY)

    assert text.startswith(f"# Model card: bundle {bundle.id}\n")
    for told in (
        "a count from 0 to 5",
        "hold the true count for 90% of photos",
        "Trained on photos from a bucket.",
        "1,300 photos were trained on",
        "| backbone | timm (model resnet50) |",
        "squashed to 112 x 112 px, looked at in 4 ways",
        "| decoding | median: the median of the distribution |",
        "| temperature | 0.8 |",
        "| accept from | confidence 0.7 |",
        "Measured on 320 photos in 210 sibling groups (test)",
        "| counted right | 51.2% | 46.2% to 56.2% |",
        "| root of the mean squared error, things | 0.93 | 0.88 to 0.98 |",
        "| 2 | 90 | 61.0% | 56.0% to 66.0% |",
        "no photo of these counts in training: 0, 3, 4, 5.",
        "within 2e-07 of the checkpoint's on 16 painted photos",
        "| torch | 2.13.0 |",
    ):
        assert told in text, told


def test_the_accept_threshold_is_read_against_the_scorecard(bundle, judged):
    assert "surest 20% 80.0% (75.0% to 85.0%) are right" in card(bundle, judged, PARITY)

    strict = dataclasses.replace(bundle, accept_confidence=0.95, id="")
    assert "Fewer than 10% of the answers" in card(strict, judged, PARITY)


def test_counts_beyond_the_model_are_among_the_limits(bundle, judged):
    assert "of the 320 photos it was judged on" not in card(bundle, judged, PARITY)

    beyond = dataclasses.replace(judged, beyond_max_count=12)
    assert "12 of the 320 photos it was judged on hold more than 5" in card(bundle, beyond, PARITY)


def test_a_judgement_of_other_counts_or_mix_is_said(bundle, judged):
    special = dataclasses.replace(judged, counts="1-5", mix="uniform")

    assert "only true counts 1-5 and a mix of counts that is uniform" in card(
        bundle, special, PARITY
    )


def test_figures_on_photos_that_training_saw_are_called_too_good(bundle, judged):
    assert "(test), which neither training nor calibration saw;" in card(bundle, judged, PARITY)

    for fold in ("val", "train"):
        seen = dataclasses.replace(judged, fold=fold)
        assert "too good;" in card(bundle, seen, PARITY)


def test_int8_stands_beside_float32(bundle, judged):
    int8 = dataclasses.replace(bundle, precision="int8", id="")
    text = card(int8, judged, PARITY | {"int8": INT8})

    assert "The figures are of the float32 model; for int8 see Parity." in text
    assert "| counted right | 52.3% | 51.9% |" in text
    assert "| size of the model, MB | 13.7 | 4.1 |" in text
    assert "200 photos of the val fold, where they give the same count for 95.0%" in text
    assert "int8" not in card(bundle, judged, PARITY)


def test_tables_stay_whole_whatever_their_cells_say(bundle, judged):
    odd = dataclasses.replace(bundle, backbone={"name": "a|b\nc"}, id="")
    rows = [line for line in card(odd, judged, PARITY).splitlines() if "backbone |" in line]

    assert rows == ["| backbone | a\\|b c |"]
