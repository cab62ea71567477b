"""Fresh: photos that no run has seen, with their true counts, scored by a bundle."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, SettingsError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.schema.cards import Calibration
    from stocktake.stages.evaluate import EvaluateSettings
    from stocktake.stages.ingest import IngestSettings

BATCH = 16
"""Photos scored at once."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Scored:
    """What a bundle says of fresh photos, and what it was made of."""

    table: Any
    """Scores, all of them of the fold that is to be judged."""
    calibration: "Calibration"
    train_counts: dict[int, int]
    """Photos it was trained on by true count."""


def listed(settings: "EvaluateSettings") -> str:
    """Digest of what the source lists.

    Raises:
        DataError: if the source is missing or lists no photo.
    """
    from stocktake.stages import ingest

    return ingest.outside(_ingest_settings(settings)).digest


def scored(bundle: RunFolder, settings: "EvaluateSettings", run: RunFolder) -> Scored:
    """Bring the source's photos into the run and let the bundle score them.

    The run gets photos/, rejects.parquet and scores.parquet, as those of ingest and score.

    Raises:
        SettingsError: if no source is named, or settings need photos that are not judged.
        DataError: if no photo can be taken, or the bundle does not say what it was trained on.
    """
    from stocktake.schema import scores
    from stocktake.schema.cards import Calibration
    from stocktake.serve.predictor import Predictor
    from stocktake.stages import ingest
    from stocktake.store.tables import write_table

    _check(settings)
    predictor = Predictor.load(bundle.artifact("bundle"))
    about = predictor.bundle
    if not about.train_counts:
        raise DataError(
            f"{bundle.path} does not say the counts it was trained on, which the baselines need;"
            " export it again"
        )
    ingest.ingest(settings=_ingest_settings(settings), run=run)
    table = scores.table_of(*_log_probs(predictor, run, settings.fold))
    write_table(run.artifact("scores.parquet"), table, format=scores.FORMAT)
    return Scored(
        table=table,
        calibration=Calibration(**about.calibration),
        train_counts={int(count): photos for count, photos in about.train_counts.items()},
    )


def _check(settings: "EvaluateSettings") -> None:
    if not settings.source:
        raise SettingsError(
            "evaluate.source is empty; name the folder of photos that the bundle is judged on"
        )
    if settings.decode == "chosen":
        raise SettingsError(
            'evaluate.decode = "chosen" needs a val fold to choose on, and fresh photos have none;'
            " set mode, median, mean or window"
        )


def _ingest_settings(settings: "EvaluateSettings") -> "IngestSettings":
    from stocktake.stages.ingest import IngestSettings

    return IngestSettings(
        source=settings.source,
        counts=settings.counts,
        endpoint_url=settings.endpoint_url,
        anonymous=settings.anonymous,
    )


def _log_probs(predictor: Any, run: RunFolder, fold: str) -> tuple[Any, Any]:
    """Rows of the photos in the run (photo_id, fold, group, count), and log_probs (N, K)."""
    import numpy as np
    import pyarrow as pa

    from stocktake.data import siblings
    from stocktake.store.shards import PhotoShards

    shards = PhotoShards.open(run.artifact("photos"))
    rows = shards.rows(["jpeg"])
    photo_ids = rows["photo_id"].to_pylist()
    made = []
    for start in range(0, len(photo_ids), BATCH):
        jpegs = shards.jpegs(photo_ids[start : start + BATCH])
        made.append(predictor.log_probs(np.stack([predictor.prepare(jpeg) for jpeg in jpegs])))
        run.progress(start + len(jpegs), len(photo_ids), "photos")
    columns = {
        "photo_id": rows["photo_id"],
        "fold": pa.array([fold] * len(photo_ids)),
        "group": pa.array(siblings.find(rows).groups),
        "count": rows["count"],
    }
    return pa.table(columns), np.concatenate(made)
