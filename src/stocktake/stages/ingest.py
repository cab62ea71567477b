"""Ingest: bring photos and their true counts from a folder or bucket into Parquet shards."""

from collections import Counter
from collections.abc import Iterator
from contextlib import closing
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, SettingsError
from stocktake.runs import fingerprint
from stocktake.runs.folder import RunFolder
from stocktake.stages.table import Seen

if TYPE_CHECKING:
    from stocktake.data.attempt import Attempt
    from stocktake.data.listing import Listing, Reject
    from stocktake.data.source import Outcome
    from stocktake.store.objects import Store

PACE = ("in_flight",)
PASSING = ("damaged", "unanswered")
"""Reasons of rejects that lie with the way or the hour, not with the object."""
JOURNAL = "attempt.jsonl"
"""In the run's folder: what became of what was listed; see data.attempt."""


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestSettings:
    """Where photos come from, and which."""

    source: str = ""
    """Address with bin-images/ID.jpg and metadata/ID.json: a folder or s3://BUCKET/PREFIX."""
    counts: str = ""
    """True counts to take, as in "1-5" or "0,2-4"; empty for all."""
    limit: int = 0
    """Take at most this many photos, first by id; 0 for all."""
    list_file: str = ""
    """JSON file that names the photos: class -> list of data/metadata/ID.json; empty for all."""
    side_px: int = 0
    """Shrink photos so that the short side has this many pixels; 0 keeps them as they are."""
    squash: bool = False
    """Shrink both sides to side_px instead, whatever the aspect; no side ever grows."""
    in_flight: int = 16
    """Photos fetched at once, 1 to 256."""
    endpoint_url: str = ""
    """Address of an S3-compatible server, for s3:// sources outside AWS."""
    anonymous: bool = False
    """Read a bucket without credentials, as public ones allow."""
    photos_per_shard: int = 2000
    """Photos in one Parquet file, 100 to 100000."""

    def __post_init__(self) -> None:
        from stocktake.data.counts import Counts

        Counts(self.counts)
        if self.limit < 0:
            raise ValueError(f"limit must be 0 or more, got {self.limit}")
        if self.side_px and not 16 <= self.side_px <= 10_000:
            raise ValueError(f"side_px must be 0 or 16 to 10000, got {self.side_px}")
        if self.squash and not self.side_px:
            raise ValueError("squash needs side_px, the side to shrink to; got side_px = 0")
        if not 1 <= self.in_flight <= 256:
            raise ValueError(f"in_flight must be 1 to 256, got {self.in_flight}")
        if not 100 <= self.photos_per_shard <= 100_000:
            raise ValueError(f"photos_per_shard must be 100 to 100000, got {self.photos_per_shard}")


@dataclass(frozen=True, kw_only=True, slots=True)
class IngestResult:
    """What became of everything listed: listed = photos + rejects + left_out."""

    listed: int
    """Photos and stray files that the source or the list file names."""
    photos: int
    """Photos taken."""
    rejects: int
    """Things that could not be taken; rejects.parquet says why."""
    left_out: int
    """Photos not asked for: of another count, or beyond the limit."""
    photos_by_count: dict[str, int]
    """Photos taken by true count."""
    rejects_by_reason: dict[str, int]
    """Rejects by their reason word."""
    left_out_by_reason: dict[str, int]
    """Photos not asked for: other-count, beyond-limit."""
    size_bytes: int
    """Size of the photos taken."""
    digest: str
    """SHA-256 over the taken photos' ids and bytes; the same whatever the order of fetching."""


def outside(settings: IngestSettings) -> Seen:
    """The listing; its digest sees names, sizes and times of the source, and the list file.

    With a list file only its text counts where listing is slow: in a bucket.

    Raises:
        SettingsError: if no source is set.
        DataError: if the source is missing or lists no photo.
    """
    from stocktake.data import listing

    store = _store(settings)
    found = _listing(settings, store)
    seen = [found.digest]
    if settings.list_file:
        seen = [fingerprint.of_file(Path(settings.list_file))]
        seen += [listing.digest(store)] if store.lists_fast else []
    return Seen(digest=fingerprint.of(seen), what=found)


def ingest(
    *, settings: IngestSettings, run: RunFolder, seen: "Listing | None" = None
) -> IngestResult:
    """Take every listed photo that can be taken; say of each other one why not.

    What an interrupted ingest of the same listing brought in is kept, and not fetched again.

    Args:
        settings: where the photos are, and which are wanted.
        run: where they go.
        seen: the listing, from `outside`; None lists the source.

    Raises:
        DataError: if the source lists no photo, none can be taken, or it stops answering.
    """
    from stocktake.data.attempt import Attempt
    from stocktake.schema import photos as schema
    from stocktake.store.tables import write_table

    store = _store(settings)
    run.progress(0, None, "photos")
    listing = seen or _listing(settings, store)
    attempt = Attempt(run.path / JOURNAL, run.artifact("photos"), listing)
    _take(store, attempt, settings=settings, run=run, total=len(listing.photos))
    write_table(
        run.artifact("rejects.parquet"),
        _rejects_table(attempt.rejects),
        format=schema.REJECTS_FORMAT,
    )
    result = _result(run.artifact("photos"), listing, attempt)
    if not result.photos:
        attempt.forget()
        raise DataError(_none_taken(settings, result, attempt))
    run.log("ingested", left_out_by_count=_by_count(attempt.other_counts))
    if result.rejects:
        run.warn(f"{result.rejects} of {result.listed} listed were rejected; see rejects.parquet")
    passing = sum(result.rejects_by_reason.get(reason, 0) for reason in PASSING)
    if passing:
        run.warn(
            f"{passing} of them ({' or '.join(PASSING)}) may be had another time; a finished ingest"
            f" asks for nothing again, so move {run.path} aside and ingest once more"
        )
    return result


def _take(
    store: "Store",
    attempt: "Attempt",
    *,
    settings: IngestSettings,
    run: RunFolder,
    total: int,
) -> None:
    """Write the photos into shards, until all are seen or the limit is reached."""
    from stocktake.store.shards import ShardWriter

    writer = ShardWriter(
        run.artifact("photos"),
        settings.photos_per_shard,
        kept=attempt.kept,
        on_shard=attempt.note,
    )
    with writer as shards:
        for row in attempt.spooled():
            shards.add(row)
        if attempt.seen:
            run.log("going on", outcomes_kept=attempt.kept_outcomes, shards_kept=len(attempt.kept))
        for outcome in _fetched(store, attempt, settings):
            attempt.saw(outcome)
            if isinstance(outcome, dict):
                shards.add(outcome)
            attempt.note()
            run.progress(attempt.seen, total, "photos")
    for shard in attempt.whole:
        run.hashed(run.artifact("photos") / shard.name, shard.sha256)


def _fetched(store: "Store", attempt: "Attempt", settings: IngestSettings) -> "Iterator[Outcome]":
    """What is still to be fetched, until the limit is reached."""
    from stocktake.data.counts import Counts
    from stocktake.data.source import fetch_all

    outcomes = fetch_all(
        store,
        attempt.left(),
        counts=Counts(settings.counts),
        side_px=settings.side_px,
        squash=settings.squash,
        in_flight=settings.in_flight,
    )
    with closing(outcomes):
        while not (settings.limit and attempt.photos >= settings.limit):
            outcome = next(outcomes, None)
            if outcome is None:
                return
            yield outcome


def _result(shards: Path, listing: "Listing", attempt: "Attempt") -> IngestResult:
    from stocktake.data.source import digest
    from stocktake.store.shards import by_shard

    def pairs() -> Iterator[tuple[str, str]]:
        for table in by_shard(shards, ("photo_id", "sha256")):
            yield from zip(table["photo_id"].to_pylist(), table["sha256"].to_pylist(), strict=True)

    counts: Counter[int] = Counter()
    for table in by_shard(shards, ("count",)):
        counts.update(table["count"].to_pylist())
    beyond = len(listing.photos) - attempt.seen
    left_out = {"other-count": attempt.other_counts.total(), "beyond-limit": beyond}
    return IngestResult(
        listed=len(listing.photos) + len(listing.rejects),
        photos=counts.total(),
        rejects=len(attempt.rejects),
        left_out=sum(left_out.values()),
        photos_by_count=_by_count(counts),
        rejects_by_reason=dict(sorted(Counter(r.reason for r in attempt.rejects).items())),
        left_out_by_reason={reason: n for reason, n in left_out.items() if n},
        size_bytes=attempt.size_bytes,
        digest=digest(pairs),
    )


def _by_count(counts: Counter[int]) -> dict[str, int]:
    """Number of photos by count, in rising order."""
    return {str(count): n for count, n in sorted(counts.items())}


def _rejects_table(rejects: "list[Reject]") -> Any:
    import pyarrow as pa

    from stocktake.schema import photos as schema

    rows = [asdict(reject) for reject in rejects]
    rows.sort(key=lambda row: (row["photo_id"], row["source"]))
    return pa.Table.from_pylist(rows, schema=schema.REJECTS)


def _none_taken(settings: IngestSettings, result: IngestResult, attempt: "Attempt") -> str:
    if attempt.other_counts:
        found = sorted(attempt.other_counts)
        return (
            f"{settings.source} has no photo that can be taken with a count in"
            f" '{settings.counts}'; its counts are {found[0]} to {found[-1]}"
        )
    first = attempt.rejects[0]
    return (
        f"none of {result.listed} listed in {settings.source} could be taken; the first,"
        f" {first.source}: {first.reason}, {first.detail}"
    )


def _store(settings: IngestSettings) -> "Store":
    from stocktake.store.address import open_store

    if not settings.source:
        raise SettingsError(
            "ingest.source is not set; name a folder or s3://BUCKET/PREFIX that holds"
            " bin-images/ and metadata/"
        )
    return open_store(
        settings.source, endpoint_url=settings.endpoint_url, anonymous=settings.anonymous
    )


def _listing(settings: IngestSettings, store: "Store") -> "Listing":
    from stocktake.data import listing

    if settings.list_file:
        return listing.list_from(Path(settings.list_file))
    return listing.list_all(store)
