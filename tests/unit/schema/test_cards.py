import json
import math

import pytest

from stocktake.errors import DataError
from stocktake.schema.cards import (
    Accepted,
    Baseline,
    Calibration,
    Choice,
    CountRow,
    DecodingFigure,
    Estimate,
    ReliabilityBin,
    ScoreCard,
    Slice,
)


def estimate(value: float = 0.5, **changes: object) -> Estimate:
    row = {"value": value, "n": 10, "low": value - 0.1, "high": value + 0.1, "method": "Wilson 95%"}
    return Estimate(**(row | changes))  # type: ignore[arg-type]


def card() -> ScoreCard:
    return ScoreCard(
        fold="test",
        n=10,
        groups=8,
        max_count=1,
        beyond_max_count=0,
        decode="mode",
        temperature=1.5,
        coverage=0.9,
        nll_floor=1e-6,
        floored=0,
        metrics={"accuracy": estimate()},
        wilson={"accuracy": estimate()},
        decodings={"mode": {"accuracy": estimate()}},
        baselines={"majority": Baseline(about="always 1", answer=1.0, metrics={"mae": estimate()})},
        per_count=[
            CountRow(count=1, n=10, accuracy=estimate(), rmse=estimate(1.0), baselines={"m": {}})
        ],
        confusion=[[0, 0], [5, 5]],
        reliability={
            "after": [ReliabilityBin(low=0.4, high=0.6, confidence=0.5, accuracy=estimate())]
        },
        selective=[
            Accepted(share=1.0, least_confidence=0.2, accuracy=estimate(), within_one=estimate())
        ],
        choice=Choice(metric="rmse", fold="val", n=9, values={"mean": 0.9, "mode": 1.1}),
        by_decoding=[DecodingFigure(decode="mode", metric="accuracy", estimate=estimate())],
        slices=[
            Slice(
                name="true count",
                label="1",
                n=10,
                groups=8,
                metrics={"accuracy": estimate()},
                is_few=True,
            )
        ],
        counts="0-1",
        mix="uniform",
        shift=[None, 0.25],
        calibration=calibration(),
    )


def test_a_card_from_before_is_read_without_what_came_later(tmp_path):
    path = tmp_path / "scorecard.json"
    card().write(path)
    row = json.loads(path.read_text())
    for later in (
        "shift",
        "calibration",
        "selective",
        "choice",
        "by_decoding",
        "slices",
        "counts",
        "mix",
    ):
        del row[later]
    path.write_text(json.dumps(row))
    found = ScoreCard.read(path)

    assert found.selective == found.by_decoding == found.slices == found.shift == []
    assert found.choice is found.calibration is None and found.counts == found.mix == ""


def calibration(**changes: object) -> Calibration:
    row = {"temperature": 1.4, "coverage": 0.9, "threshold": 0.8, "fold": "calib", "n": 50}
    return Calibration(**({"max_count": 5} | row | changes))  # type: ignore[arg-type]


@pytest.mark.parametrize("made", [card(), calibration()])
def test_what_is_written_is_read_again(made, tmp_path):
    made.write(tmp_path / "it.json")

    assert type(made).read(tmp_path / "it.json") == made
    assert [path.name for path in tmp_path.iterdir()] == ["it.json"]


def test_the_files_say_their_format(tmp_path):
    calibration().write(tmp_path / "it.json")

    assert json.loads((tmp_path / "it.json").read_text())["format"] == "calibration/1"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("{", "cannot be read"),
        ("[]", "has format None"),
        ('{"format": "calibration/9"}', "calibration/9"),
        ('{"format": "calibration/1", "temperature": 1}', "cannot be read"),
        ('{"format": "scorecard/1"}', "scorecard/1"),
    ],
)
def test_a_damaged_or_foreign_file_is_a_clear_error(tmp_path, text, told):
    (tmp_path / "it.json").write_text(text)

    with pytest.raises(DataError, match=told) as caught:
        Calibration.read(tmp_path / "it.json")
    assert "evaluate" in str(caught.value) and "\n" not in str(caught.value)


def test_a_missing_file_names_the_command(tmp_path):
    with pytest.raises(DataError, match="stocktake evaluate"):
        ScoreCard.read(tmp_path / "none.json")


@pytest.mark.parametrize(
    "change", [{"temperature": 0.0}, {"temperature": math.nan}, {"coverage": 1.0}, {"threshold": 2}]
)
def test_a_calibration_out_of_range_is_refused(change):
    with pytest.raises(DataError, match="calibration has"):
        calibration(**change)


def test_a_calibration_is_never_fitted_on_test():
    with pytest.raises(DataError, match="test fold"):
        calibration(fold="test")


@pytest.mark.parametrize("change", [{"low": 0.6}, {"high": 0.4}, {"value": math.nan}, {"n": 0}])
def test_an_estimate_lies_in_its_interval_and_rests_on_photos(change):
    with pytest.raises(DataError):
        estimate(**change)
