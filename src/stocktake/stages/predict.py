"""Predict: counts for the photos of any folder or bucket, one row each, without torch."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, SettingsError
from stocktake.runs import fingerprint
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.serve.predictor import Predictor
    from stocktake.store.objects import Entry, Store

ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
READERS = 16
"""Photos fetched at once: hides a bucket's latency, harmless on a disk."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSettings:
    """Which photos to count, and how."""

    source: str = ""
    """Address of the photos: a folder or s3://BUCKET/PREFIX; every JPEG, PNG and WEBP below it."""
    limit: int = 0
    """Take only the first photos by name, this many; 0 for all."""
    batch_size: int = 16
    """Photos read and answered together."""
    threads: int = 0
    """Threads the engine uses; 0 for one per core."""
    endpoint_url: str = ""
    """Address of an S3-compatible server, for s3:// sources outside AWS."""
    anonymous: bool = False
    """Read a bucket without credentials, as public ones allow."""

    def __post_init__(self) -> None:
        if self.batch_size < 1:
            raise ValueError(f"batch_size must be 1 or more, got {self.batch_size}")
        for name in ("limit", "threads"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} must be 0 or more, got {getattr(self, name)}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictResult:
    """What was counted."""

    photos: int
    """Photos found; each has its row."""
    failed: int
    """Photos that could not be read; their row says why."""
    mean_count: float | None
    """Mean count of the others; empty if there is none."""
    mean_confidence: float | None
    """Mean confidence of the others, 0 to 1."""
    total: int
    """Sum of their counts."""
    bundle: str
    """Id of the bundle that answered."""
    photos_per_s: float
    """Photos answered per second, reading included."""


def outside(settings: PredictSettings) -> str:
    """Digest of the source's listing: names, sizes, times."""
    return fingerprint.of([[e.key, e.size_bytes, e.version] for e in _listed(settings)])


def predict(*, bundle: RunFolder, settings: PredictSettings, run: RunFolder) -> PredictResult:
    """Answer every photo of the source; one that cannot be read hurts only itself."""
    from stocktake.schema import predictions as schema
    from stocktake.serve.predictor import Predictor
    from stocktake.store.tables import write_table

    predictor = Predictor.load(bundle.artifact("bundle"), threads=settings.threads)
    keys = [entry.key for entry in _listed(settings)]
    started = time.monotonic()
    rows: list[dict[str, Any]] = []
    for batch in _read_ahead(settings, keys):
        rows += _rows(predictor, batch)
        run.progress(len(rows), len(keys), "photos")
    max_count = predictor.bundle.max_count
    table = schema.table_of(rows, max_count=max_count)
    write_table(run.artifact("predictions.parquet"), table, format=schema.FORMAT)
    good = [row for row in rows if row["error"] is None]
    if len(good) < len(rows):
        run.warn(f"{len(rows) - len(good)} of {len(rows)} photos could not be read; see `error`")
    return PredictResult(
        photos=len(rows),
        failed=len(rows) - len(good),
        mean_count=_mean([row["count"] for row in good]),
        mean_confidence=_mean([row["confidence"] for row in good]),
        total=sum(row["count"] for row in good),
        bundle=predictor.bundle.id,
        photos_per_s=round(len(rows) / max(time.monotonic() - started, 1e-6), 1),
    )


def _listed(settings: PredictSettings) -> list["Entry"]:
    """The source's photos by name.

    Raises:
        SettingsError: if no source is named.
        DataError: if it is not there or holds no photo.
    """
    if not settings.source:
        raise SettingsError(
            "predict.source is empty; name a folder of photos, or s3://BUCKET/PREFIX"
        )
    entries = _store(settings).list()
    found = [entry for entry in entries if entry.key.lower().endswith(ENDINGS)]
    if not found:
        raise DataError(
            f"predict.source {settings.source} holds no photo;"
            f" expected files that end in {', '.join(ENDINGS)}"
        )
    found.sort(key=lambda entry: entry.key)
    return found[: settings.limit or None]


def _store(settings: PredictSettings) -> "Store":
    from stocktake.store.address import open_store

    return open_store(
        settings.source, endpoint_url=settings.endpoint_url, anonymous=settings.anonymous
    )


def _read_ahead(
    settings: PredictSettings, keys: Sequence[str]
) -> Iterator[list[tuple[str, bytes | str]]]:
    """Batches of (key, bytes), or (key, why not), in the order of `keys`; the next is on its way
    while one is answered."""
    from concurrent.futures import ThreadPoolExecutor

    from stocktake.store.objects import Missing, Refused

    store = _store(settings)

    def fetch(key: str) -> tuple[str, bytes | str]:
        try:
            return key, store.read(key)
        except (Missing, Refused) as err:  # this photo only; a source that is down ends the run
            return key, str(err)

    size = settings.batch_size
    batches = [keys[start : start + size] for start in range(0, len(keys), size)]
    with ThreadPoolExecutor(READERS) as pool:
        ahead = [pool.submit(fetch, key) for key in batches[0]]
        for following in [*batches[1:], []]:
            now, ahead = ahead, [pool.submit(fetch, key) for key in following]
            yield [one.result() for one in now]


def _rows(predictor: "Predictor", batch: Sequence[tuple[str, bytes | str]]) -> list[dict[str, Any]]:
    """A row per photo of the batch; where the bytes could not be had, a text says why."""
    from stocktake.schema import predictions as schema

    got = {key: photo for key, photo in batch if isinstance(photo, bytes)}
    names = [_photo_id(key) for key in got]
    answers = dict(zip(got, predictor.predict(list(got.values()), names), strict=True))
    rows = []
    for key, photo in batch:
        answer = answers.get(key, photo)
        if isinstance(answer, schema.Prediction):
            rows.append(schema.row_of(answer, source=key))
        else:
            failed = {"photo_id": _photo_id(key), "bundle": predictor.bundle.id}
            rows.append(schema.failed_row(**failed, source=key, error=str(answer)))
    return rows


def _photo_id(key: str) -> str:
    """The file's name without its ending, as in the bucket; `source` tells equal ones apart."""
    return PurePosixPath(key).stem


def _mean(values: Sequence[float]) -> float | None:
    return round(sum(values) / len(values), 4) if values else None
