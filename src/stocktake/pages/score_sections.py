"""Score sections: what the answers are worth, and which of them went wrong."""

from typing import Any

from stocktake.pages import confusion as confusions
from stocktake.pages import page, plots
from stocktake.pages.standing import Stages
from stocktake.pages.words import percent
from stocktake.schema.cards import Calibration, ScoreCard

ROWS_SHOWN = 16
"""Lines of the per-count table that are open; the others unfold."""
PICTURES = 6
"""Photos shown of those surely wrong, and of those most in doubt."""
PICTURE_PX = 240


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
            ("accuracy", "counted right", "percent"),
            ("within_one", "right or off by one", "percent"),
            ("rmse", "RMSE", "fixed"),
            ("mae", "mean error", "fixed"),
            ("nll", "NLL", "fixed"),
        ),
        "method": card.metrics["accuracy"].method,
    }


def per_count(stages: Stages) -> dict[str, Any]:
    """Accuracy and error by true count, beside the baselines."""
    card = card_of(stages)
    told = f"Share counted right by true count, {card.n} photos of the {card.fold} fold."
    names = [name for name in card.baselines if name in ("majority", "frequency", "median")]
    return {
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
    fitted = Calibration.read(stages["evaluate"].artifact("calibration.json"))
    before, after = (card.reliability.get(when, []) for when in ("before", "after"))
    told = (
        f"Confidence stated against share counted right, {card.n} photos: the mean gap is"
        f" {percent(card.metrics['ece_before'].value)} before calibration and"
        f" {percent(card.metrics['ece'].value)} after."
    )
    return {
        "card": card,
        "fitted": fitted,
        "plot": page.safe(plots.reliability("reliability", before, after, told=told)),
        "told": told,
        "rows": (
            ("ece", "mean gap between confidence and truth (ECE)"),
            ("nll", "surprise (NLL, nats)"),
            ("brier", "Brier score"),
        ),
    }


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


def doubts(stages: Stages) -> dict[str, Any] | None:
    """Photos answered wrong with most confidence, and those answered with least."""
    import numpy as np

    from stocktake.schema import scores as schema
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import read_table

    card = card_of(stages)
    whole = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    table = schema.of_folds(whole, [card.fold])
    if not len(table):
        return None
    tempered = schema.matrix(table).astype(np.float64) / card.temperature  # (N, K)
    probabilities = np.exp(tempered - np.logaddexp.reduce(tempered, axis=1, keepdims=True))
    said, sure = probabilities.argmax(axis=1), probabilities.max(axis=1)
    counts, photo_ids = schema.counts(table), table["photo_id"].to_pylist()
    wrong = [i for i in np.argsort(-sure, kind="stable") if said[i] != counts[i]][:PICTURES]
    unsure = np.argsort(sure, kind="stable")[:PICTURES]
    shards = PhotoShards.open(stages["ingest"].artifact("photos"))

    def shown(place: int) -> dict[str, Any]:
        (jpeg,) = shards.jpegs([photo_ids[place]])
        return {
            "photo_id": photo_ids[place],
            "uri": page.photo_uri(jpeg, side_px=PICTURE_PX),
            "true_count": int(counts[place]),
            "count": int(said[place]),
            "confidence": float(sure[place]),
        }

    return {
        "fold": card.fold,
        "wrong": [shown(int(i)) for i in wrong],
        "unsure": [shown(int(i)) for i in unsure],
    }
