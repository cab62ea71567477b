"""Gallery: the answers that a person would look at first, as pictures."""

from collections import Counter
from typing import TYPE_CHECKING, Any

from stocktake.pages import page
from stocktake.pages.score_sections import card_of
from stocktake.pages.standing import Stages
from stocktake.schema.cards import ScoreCard

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

PICTURES = 6
"""Photos shown of each kind."""
CONFUSIONS, CONFUSED = 5, 4
"""The most frequent confusions, and photos shown of each."""
LIKELIEST = 3
"""Counts whose probabilities stand below a photo."""
PICTURE_PX = 240
KINDS = {
    "wrong": "Wrong with the most confidence",
    "far": "Furthest off",
    "unsure": "Answered with the least confidence",
    "right": "Right with the most confidence, for comparison",
}


def gallery(stages: Stages) -> dict[str, Any] | None:
    """Photos of each kind worth a look, and of the most frequent confusions."""
    import pyarrow as pa
    import pyarrow.compute as pc

    from stocktake.schema import heatmaps
    from stocktake.schema import scores as schema
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import read_table

    card = card_of(stages)
    whole = read_table(stages["score"].artifact("scores.parquet"), format=schema.FORMAT)
    table = schema.of_folds(whole, [card.fold])
    judged = pa.array([row.count for row in card.per_count], table["count"].type)
    table = table.filter(pc.is_in(table["count"], judged))
    if not len(table):
        return None
    log_probs, counts = _honest(schema.matrix(table), card), schema.counts(table)
    photo_ids = table["photo_id"].to_pylist()
    shards = PhotoShards.open(stages["ingest"].artifact("photos"))
    file = stages["score"].artifact("heatmaps.parquet")
    heat = heatmaps.by_photo(read_table(file, format=heatmaps.FORMAT)) if file.exists() else {}

    def shown(place: int) -> dict[str, Any]:
        (jpeg,) = shards.jpegs([photo_ids[place]])
        return _shown(photo_ids[place], jpeg, int(counts[place]), log_probs[place], heat)

    kinds = schema.worth_a_look(log_probs, counts, PICTURES)
    return {
        "fold": card.fold,
        "has_heat": bool(heat),
        "shelves": [
            {"title": KINDS[kind], "photos": [shown(place) for place in places]}
            for kind, places in kinds.items()
            if places
        ],
        "confusions": [
            {**pair, "photos": [shown(place) for place in pair["places"]]}
            for pair in _confusions(log_probs, counts)
        ],
    }


def _honest(log_probs: "NDArray[Any]", card: ScoreCard) -> "NDArray[Any]":
    """The log-probabilities that the card was made with, (N, K)."""
    import numpy as np

    tempered = log_probs.astype(np.float64) / card.temperature
    if card.shift:
        tempered = tempered + [-np.inf if by is None else by for by in card.shift]
    honest: NDArray[Any] = tempered - np.logaddexp.reduce(tempered, axis=1, keepdims=True)
    return honest


def _shown(
    photo_id: str,
    jpeg: bytes,
    true_count: int,
    log_probs: "NDArray[Any]",
    heat: "dict[str, NDArray[np.uint8]]",
) -> dict[str, Any]:
    """What stands on the card of one photo."""
    import numpy as np

    shares = np.exp(log_probs)
    likeliest = np.argsort(-shares, kind="stable")[:LIKELIEST]
    cells = heat.get(photo_id)
    return {
        "photo_id": photo_id,
        "uri": page.photo_uri(jpeg, side_px=PICTURE_PX),
        "heat_uri": page.heat_uri(jpeg, cells, side_px=PICTURE_PX) if cells is not None else None,
        "true_count": true_count,
        "count": int(likeliest[0]),
        "confidence": float(shares[likeliest[0]]),
        "likeliest": [{"count": int(one), "share": float(shares[one])} for one in likeliest],
    }


def _confusions(log_probs: "NDArray[Any]", counts: "NDArray[np.int64]") -> list[dict[str, Any]]:
    """The most frequent pairs of true count and answer, with places of their surest photos."""
    import numpy as np

    said, sure = log_probs.argmax(axis=1), log_probs.max(axis=1)
    pairs = Counter((int(t), int(s)) for t, s in zip(counts, said, strict=True) if t != s)
    found = []
    for (true_count, answer), photos in pairs.most_common(CONFUSIONS):
        inside = np.flatnonzero((counts == true_count) & (said == answer))
        surest = inside[np.argsort(-sure[inside], kind="stable")][:CONFUSED]
        found.append(
            {
                "true_count": true_count,
                "count": answer,
                "n": photos,
                "places": [int(place) for place in surest],
            }
        )
    return found
