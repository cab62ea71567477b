"""Paint: photos of bins that never were, in the bucket's own layout, with true counts."""

from dataclasses import dataclass

from stocktake.runs.folder import RunFolder

MAX_COUNT = 10
"""Painted bins hold at most this many items, as 93 % of ABID's do."""

PACE = ("processes",)


@dataclass(frozen=True, kw_only=True, slots=True)
class PaintSettings:
    """How many photos, and which."""

    photos: int = 1000
    """Photos to paint, 1 to 1000000; photo n is the same however many there are."""
    seed: int = 0
    """Seed of the bins, 0 or more."""
    max_count: int = MAX_COUNT
    """Highest true count, 1 to 10; counts keep the mix of real bins up to there."""
    long_side_px: int = 0
    """Pixels of a photo's longer side, 64 to 1200; 0 for sizes as real photos have them."""
    masks: bool = False
    """Whether masks/ID.png says beside each photo which item shows at which pixel."""
    processes: int = 0
    """Processes that paint, 1 to 256; 0 for one per core. Photos do not depend on it."""

    def __post_init__(self) -> None:
        if not 1 <= self.photos <= 1_000_000:
            raise ValueError(f"photos must be 1 to 1000000, got {self.photos}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")
        if not 1 <= self.max_count <= MAX_COUNT:
            raise ValueError(f"max_count must be 1 to {MAX_COUNT}, got {self.max_count}")
        if self.long_side_px and not 64 <= self.long_side_px <= 1200:
            raise ValueError(f"long_side_px must be 0 or 64 to 1200, got {self.long_side_px}")
        if not 0 <= self.processes <= 256:
            raise ValueError(f"processes must be 0 to 256, got {self.processes}")


@dataclass(frozen=True, kw_only=True, slots=True)
class PaintResult:
    """What was painted."""

    photos: int
    """Photos in the bucket."""
    found: int
    """Photos of these that an earlier attempt had painted before it was stopped."""
    photos_by_count: dict[str, int]
    """Photos by true count."""
    items: int
    """Items in all photos together."""
    size_bytes: int
    """Size of all photos."""


def paint(*, settings: PaintSettings, run: RunFolder) -> PaintResult:
    """Write bucket/bin-images/ID.jpg and bucket/metadata/ID.json; goes on where it was stopped.

    With masks also bucket/masks/ID.png, grey, of the photo's size: 0 for the background, k where
    the k-th unit of the metadata shows, products by ASIN, each as often as its quantity says; and
    bucket/masks/ID.json with every unit's area in pixels and visible share.

    Raises:
        StocktakeError: if the disk is full, or a painting process dies.
    """
    from stocktake.bins import painter
    from stocktake.runs import machine

    run.progress(0, settings.photos, "photos")
    order = painter.Order(
        photos=settings.photos,
        seed=settings.seed,
        max_count=settings.max_count,
        long_side_px=settings.long_side_px,
        masks=settings.masks,
    )
    painted = painter.paint(
        run.artifact("bucket"),
        order,
        processes=settings.processes or machine.cores(),
        told=lambda done, total: run.progress(done, total, "photos"),
    )
    counts = sorted(painted.photos_by_count.items())
    return PaintResult(
        photos=painted.photos,
        found=painted.found,
        photos_by_count={str(count): photos for count, photos in counts},
        items=painted.items,
        size_bytes=painted.size_bytes,
    )
