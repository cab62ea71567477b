"""Predict: counts for the photos of any folder, bucket or ingest, one row each, without torch."""

import time
from collections.abc import Generator, Sequence
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import SettingsError
from stocktake.runs import fingerprint
from stocktake.runs.folder import RunFolder
from stocktake.stages.table import Seen

if TYPE_CHECKING:
    from stocktake.data.album import Album
    from stocktake.runs.pieces import Pieces
    from stocktake.serve.predictor import Predictor

READERS = 16
"""Photos fetched at once: hides a bucket's latency, harmless on a disk."""
PIECE = 256
"""Answers that are written together, about: a few seconds' work, all that a kill can cost."""
JOURNAL = "attempt.jsonl"
"""In the run's folder: which answers are on the disk; see runs.pieces."""


@dataclass(frozen=True, kw_only=True, slots=True)
class PredictSettings:
    """Which photos to count, and how."""

    source: str = ""
    """Address of the photos: a folder or s3://BUCKET/PREFIX, every JPEG, PNG and WEBP below it; or
    an ingest's photos, by the folder of their shards, of the ingest or of its run."""
    limit: int = 0
    """Take only the first photos by key, this many; 0 for all."""
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
    """Photos answered per second since the last start, reading included."""


def outside(settings: PredictSettings) -> Seen:
    """The photos; their digest sees names, sizes and times, or of an ingest's the hashes.

    Raises:
        SettingsError: if no source is named.
        DataError: if it is not there or holds no photo.
    """
    album = _album(settings)
    return Seen(digest=album.digest, what=album)


def predict(
    *,
    bundle: RunFolder,
    settings: PredictSettings,
    run: RunFolder,
    seen: "Album | None" = None,
) -> PredictResult:
    """Answer every photo of the source; one that cannot be read hurts only itself.

    What an interrupted call has answered of the same photos is kept, and not answered again.

    Args:
        bundle: what answers.
        settings: which photos, and how.
        run: where the answers go.
        seen: the photos, from `outside`; None lists the source.

    Raises:
        DataError: if the bundle is not whole, or the source holds no photo or stops answering.
    """
    from stocktake.runs.pieces import Pieces
    from stocktake.schema import predictions as schema
    from stocktake.serve.predictor import Predictor

    predictor = Predictor.load(bundle.artifact("bundle"), threads=settings.threads)
    run.progress(0, None, "photos")
    album = seen or _album(settings)
    path = run.artifact("predictions.parquet")
    made_from = fingerprint.of([predictor.bundle.id, album.digest, settings.batch_size])
    pieces = Pieces(path, run.path / JOURNAL, format=schema.FORMAT, of=made_from)
    kept = pieces.rows
    if kept:
        run.log("going on", answers_kept=kept)
    started = time.monotonic()
    _answer(predictor, album, pieces, size=settings.batch_size, run=run)
    took_s = time.monotonic() - started
    run.hashed(path, pieces.join().sha256)
    result = _result(
        path, bundle=predictor.bundle.id, per_s=(len(album) - kept) / max(took_s, 1e-6)
    )
    if result.failed:
        run.warn(f"{result.failed} of {result.photos} photos could not be read; see `error`")
    return result


def _answer(
    predictor: "Predictor", album: "Album", pieces: "Pieces", *, size: int, run: RunFolder
) -> None:
    """Answer the photos that have none yet, and keep the answers a piece at a time.

    Batches and pieces begin at the same places whenever the call was interrupted, so that every
    photo meets the same neighbours and the arithmetic is the same to the last bit.
    """
    from stocktake.schema import predictions as schema

    per_piece = size * max(PIECE // size, 1)
    done = pieces.rows
    rows: list[dict[str, Any]] = []
    with closing(album), closing(_read_ahead(album, done, size)) as batches:
        for batch in batches:
            rows += _rows(predictor, album, done, batch)
            done += len(batch)
            if len(rows) >= per_piece or done == len(album):
                made = schema.table_of(rows, max_count=predictor.bundle.max_count)
                pieces.add(made, last_id=rows[-1]["source"])
                rows = []
            run.progress(done, len(album), "photos")


def _album(settings: PredictSettings) -> "Album":
    from stocktake.data.album import open_album

    if not settings.source:
        raise SettingsError(
            "predict.source is empty; name a folder of photos, s3://BUCKET/PREFIX or an ingest"
        )
    return open_album(
        settings.source,
        limit=settings.limit,
        endpoint_url=settings.endpoint_url,
        anonymous=settings.anonymous,
    )


def _read_ahead(album: "Album", start: int, size: int) -> Generator[list[bytes | str], None, None]:
    """Batches of photo files, or why one cannot be had, from the place `start` on; the next is on
    its way while one is answered."""
    from concurrent.futures import Future, ThreadPoolExecutor

    with ThreadPoolExecutor(READERS, thread_name_prefix="read") as pool:

        def fetch(first: int) -> list[Future[bytes | str]]:
            places = range(first, min(first + size, len(album)))
            return [pool.submit(album.read, place) for place in places]

        ahead = fetch(start)
        try:
            while now := ahead:
                start += size
                ahead = fetch(start)
                yield [one.result() for one in now]
        finally:
            album.close()
            for one in ahead:
                one.cancel()


def _rows(
    predictor: "Predictor", album: "Album", start: int, batch: Sequence[bytes | str]
) -> list[dict[str, Any]]:
    """A row per photo of the batch, whose first has the place `start`; where its bytes could not
    be had, a text says why."""
    from stocktake.schema import predictions as schema

    got = {start + i: photo for i, photo in enumerate(batch) if isinstance(photo, bytes)}
    names = [album.photo_id(place) for place in got]
    answers = dict(zip(got, predictor.predict(list(got.values()), names), strict=True))
    rows = []
    for place, photo in enumerate(batch, start):
        answer, key = answers.get(place, photo), album.key(place)
        if isinstance(answer, schema.Prediction):
            rows.append(schema.row_of(answer, source=key))
        else:
            failed = {"photo_id": album.photo_id(place), "bundle": predictor.bundle.id}
            rows.append(schema.failed_row(**failed, source=key, error=str(answer)))
    return rows


def _result(path: Path, *, bundle: str, per_s: float) -> PredictResult:
    """What the rows in the table come to, read a group at a time."""
    import pyarrow.compute as pc
    import pyarrow.parquet as pq

    photos = good = total = 0
    confidence = 0.0
    with pq.ParquetFile(path) as file:
        for rows in file.iter_batches(columns=["count", "confidence"]):
            photos += len(rows)
            good += len(rows) - rows["count"].null_count
            total += pc.sum(rows["count"]).as_py() or 0
            confidence += pc.sum(rows["confidence"]).as_py() or 0
    return PredictResult(
        photos=photos,
        failed=photos - good,
        mean_count=round(total / good, 4) if good else None,
        mean_confidence=round(confidence / good, 4) if good else None,
        total=total,
        bundle=bundle,
        photos_per_s=round(per_s, 1),
    )
