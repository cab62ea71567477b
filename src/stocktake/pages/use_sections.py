"""Use sections: the bundle, and what it answered over HTTP and to a folder of photos."""

from pathlib import PurePath
from typing import Any

from stocktake.pages import page, plots
from stocktake.pages.data_sections import MOST_BARS, gathered, read_json
from stocktake.pages.standing import Stages
from stocktake.schema import bundles

ANSWERS_SHOWN = 10
FAILURES_SHOWN = 10


def answers(stages: Stages) -> dict[str, Any]:
    """Photos sent over HTTP, with what came back."""
    stage = stages["serve"]
    rows = read_json(stage.artifact("answers.json"), "serve")
    result = stage.run.result()
    shown = [_answer(row, stages) for row in rows[:ANSWERS_SHOWN]]
    return {
        "rows": shown,
        "n": len(rows),
        "right": sum(row["count"] == row["true_count"] for row in rows),
        "held": sum(row["low"] <= row["true_count"] <= row["high"] for row in rows),
        "result": result,
        "coverage": _coverage(stages),
    }


def _answer(row: dict[str, Any], stages: Stages) -> dict[str, Any]:
    name = PurePath(str(row["photo_id"])).name
    photo = stages["serve"].artifact(f"photos/{name}.jpg")
    probabilities = [float(one) for one in row["probabilities"]]
    return {
        **row,
        "uri": page.photo_uri(photo),
        "off": int(row["count"]) - int(row["true_count"]),
        "bars": [
            {
                "count": count,
                "share": share,
                "height": share / max(probabilities),
                "is_in": row["low"] <= count <= row["high"],
            }
            for count, share in enumerate(probabilities)
        ],
    }


def _coverage(stages: Stages) -> float | None:
    return stages["evaluate"].figure("coverage") if "evaluate" in stages else None


def bundle(stages: Stages) -> dict[str, Any]:
    """The exported bundle, and how near it is to its checkpoint."""
    stage = stages["export"]
    folder = stage.artifact("bundle")
    return {
        "result": stage.run.result(),
        "about": bundles.read_json(folder, bundles.FILE),
        "parity": bundles.read_json(folder, bundles.PARITY),
    }


def predictions(stages: Stages) -> dict[str, Any]:
    """Counts given to the photos of a folder or bucket."""
    import pyarrow.compute as pc

    from stocktake.schema import predictions as schema
    from stocktake.store.tables import read_table

    stage = stages["predict"]
    path = stage.artifact("predictions.parquet")
    table = read_table(path, format=schema.FORMAT, columns=["source", "count", "error"])
    counted = pc.value_counts(table["count"].drop_null()).to_pylist()
    amounts = gathered({str(row["values"]): row["counts"] for row in counted}, MOST_BARS)
    told = f"Photos by the count they were given, {sum(amounts.values())} in all."
    plot = plots.bars("given", amounts, xlabel="count given", told=told) if amounts else ""
    failed = table.filter(pc.is_valid(table["error"])).slice(0, FAILURES_SHOWN)
    return {
        "result": stage.run.result(),
        "settings": stage.run.settings(),
        "plot": page.safe(plot),
        "told": told,
        "failed": failed.to_pylist(),
    }
