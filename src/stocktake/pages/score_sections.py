"""Score sections: what the answers are worth, and which of them went wrong."""

from typing import Any

from stocktake.pages import confusion as confusions
from stocktake.pages import page, plots
from stocktake.pages.standing import Stages
from stocktake.pages.words import percent
from stocktake.schema.cards import Calibration, ScoreCard, Slice

FIGURES = {
    "accuracy": ("counted right", "percent"),
    "within_one": ("right or off by one", "percent"),
    "rmse": ("RMSE", "fixed"),
    "mae": ("mean error", "fixed"),
}
"""Titles and kinds of the figures that answers are judged by."""
TRUE_COUNT = "true count"
"""The trait of that name, as evaluate has it."""
ROWS_SHOWN = 16
"""Lines of the per-count table that are open; the others unfold."""


def card_of(stages: Stages) -> ScoreCard:
    """evaluate's scorecard. Raises DataError if it is damaged."""
    return ScoreCard.read(stages["evaluate"].artifact("scorecard.json"))


def headline(stages: Stages) -> dict[str, Any]:
    """What the run is worth, for one sentence."""
    card = card_of(stages)
    gain = card.metrics["over_majority"]
    return {
        "card": card,
        "accuracy": card.metrics["accuracy"],
        "majority": card.baselines["majority"],
        "gain": gain,
        "is_clear": gain.low > 0,
        "is_worse": gain.high < 0,
    }


def scorecard(stages: Stages) -> dict[str, Any]:
    """The model beside answers that need no photo."""
    card = card_of(stages)
    return {
        "card": card,
        "columns": (
            *((key, title, kind) for key, (title, kind) in FIGURES.items()),
            ("nll", "NLL", "fixed"),
        ),
        "method": card.metrics["accuracy"].method,
        "own": [
            (one.decode, FIGURES[one.metric][0], FIGURES[one.metric][1], one.estimate)
            for one in card.by_decoding
        ],
        "choice": _choice(card),
    }


def _choice(card: ScoreCard) -> dict[str, Any] | None:
    """How the decoding was chosen; None if it was set."""
    if card.choice is None:
        return None
    title, kind = FIGURES[card.choice.metric]
    return {"made": card.choice, "title": title, "kind": kind}


def per_count(stages: Stages) -> dict[str, Any]:
    """Accuracy and error by true count, beside the baselines."""
    card = card_of(stages)
    told = f"Share counted right by true count, {card.n} photos of the {card.fold} fold."
    names = [name for name in card.baselines if name in ("majority", "frequency", "median")]
    return {
        "card": card,
        "rows": card.per_count,
        "shown": ROWS_SHOWN,
        "names": names,
        "about": {name: card.baselines[name].about for name in names},
        "plot": page.safe(plots.by_count("by-count", card.per_count, told=told)),
        "told": told,
    }


def confusion(stages: Stages) -> dict[str, Any]:
    """True counts against answers."""
    card = card_of(stages)
    return {"shown": confusions.of_matrix(card.confusion), "fold": card.fold}


def calibration(stages: Stages) -> dict[str, Any]:
    """How honest confidences are, and what the intervals held."""
    card = card_of(stages)
    served = Calibration.read(stages["evaluate"].artifact("calibration.json"))
    before, after = (card.reliability.get(when, []) for when in ("before", "after"))
    told = (
        f"Confidence stated against share counted right, {card.n} photos: the mean gap is"
        f" {percent(card.metrics['ece_before'].value)} before calibration and"
        f" {percent(card.metrics['ece'].value)} after."
    )
    return {
        "card": card,
        "fitted": card.calibration or served,
        "served": served,
        "plot": page.safe(plots.reliability("reliability", before, after, told=told)),
        "told": told,
        "rows": (
            ("ece", "mean gap between confidence and truth (ECE)"),
            ("nll", "surprise (NLL, nats)"),
            ("brier", "Brier score"),
        ),
    }


def slices(stages: Stages) -> dict[str, Any] | None:
    """Accuracy, errors and intervals by trait of the photos; cards from before have none."""
    card = card_of(stages)
    if not card.slices:
        return None
    names = list(dict.fromkeys(one.name for one in card.slices))
    judged = [one for one in card.slices if not one.is_few]
    apart = {name: _apart(judged, card, name) for name in ("accuracy", "rmse")}
    whole = {name: card.metrics[name].value for name in ("accuracy", "rmse")}
    told = (
        f"by slices of the {card.fold} fold, {card.n} photos; whiskers are 95% intervals, the"
        " dashed line is the whole fold"
    )
    plotted = {
        name: page.safe(
            plots.slices(
                f"slices-{name}",
                card.slices,
                metric=name,
                whole=whole[name],
                told=f"{title} {told}.",
            )
        )
        for name, title in (("accuracy", "Share counted right"), ("rmse", "RMSE"))
    }
    return {
        "card": card,
        "tables": [(name, [one for one in card.slices if one.name == name]) for name in names],
        "apart": apart,
        "judged": len(judged),
        "by_luck": round(len(judged) / 20, 1),
        "plots": plotted,
        "told": {"accuracy": f"Share counted right {told}.", "rmse": f"RMSE, in things, {told}."},
        "few": any(one.is_few for one in card.slices),
    }


def _apart(judged: list[Slice], card: ScoreCard, metric: str) -> dict[str, Any]:
    """The slices furthest from the whole among those whose interval leaves the whole's figure out.

    `first` is the furthest, `is_better` says to which side; `weakest` is the furthest to the bad
    side that is no true count: large counts are harder, which surprises nobody.
    """
    whole = card.metrics[metric].value
    good = 1 if FIGURES[metric][1] == "percent" else -1
    gains = [
        (good * (one.metrics[metric].value - whole), one)
        for one in judged
        if not one.metrics[metric].low <= whole <= one.metrics[metric].high
    ]
    gain, first = max(gains, key=lambda pair: abs(pair[0]), default=(0.0, None))
    bad = [(far, one) for far, one in gains if far < 0 and one.name != TRUE_COUNT]
    _, weakest = min(bad, key=lambda pair: pair[0], default=(0.0, None))
    weakest = None if weakest is first else weakest
    return {"first": first, "is_better": gain > 0, "weakest": weakest}


def selective(stages: Stages) -> dict[str, Any] | None:
    """What is right among the surest answers, if a person counts the rest."""
    card = card_of(stages)
    if not card.selective:
        return None
    told = (
        f"Share counted right among the surest answers, {card.n} photos of the {card.fold} fold;"
        " whiskers are 95% intervals."
    )
    return {
        "card": card,
        "rows": [row for row in card.selective if round(row.share * 10) in (1, 2, 3, 5, 7, 10)],
        "plot": page.safe(plots.selective("selective", card.selective, told=told)),
        "told": told,
    }
