"""Split: give every photo a fold; siblings (one bin, moments apart) stay together."""

import json
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, SettingsError
from stocktake.runs import fingerprint
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.data.folds import Folds
    from stocktake.store.objects import Store
    from stocktake.store.shards import PhotoShards

TARGET = ("upload", "endpoint_url")
PACE = ("in_flight", "anonymous", *TARGET)
KINDS = ("siblings", "balanced", "random")
LARGE_GROUP = 0.05
"""A sibling group above this share of all photos makes a fold's size a matter of luck."""
DECIDING = ("val_frac", "calib_frac", "test_frac", "seed", "kind")
"""Settings that decide folds: photos move where these are changed, and are meant to."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitSettings:
    """How large each fold is; train gets what the others leave."""

    val_frac: float = 0.10
    """Share of photos for picking the best epoch and settings, 0 to 1."""
    calib_frac: float = 0.10
    """Share of photos for fitting temperature and intervals, 0 to 1."""
    test_frac: float = 0.15
    """Share of photos held out for the final scorecard, 0 to 1."""
    seed: int = 0
    """Seed of the assignment."""
    kind: str = "siblings"
    """siblings: whole groups by hash, shares on average; balanced: exact shares; random: leaks."""
    keep: str = ""
    """Run folder or split.parquet of an earlier split, whose photos stay in their folds."""
    newcomers: str = "shares"
    """Where photos go that split.keep has not placed: by the "shares", or all to "train"."""
    upload: str = ""
    """Folder or s3://BUCKET/PREFIX to write train/COUNT/ID.jpg, valid, calib and test to."""
    endpoint_url: str = ""
    """Address of an S3-compatible server, for an upload outside AWS."""
    anonymous: bool = False
    """Upload without credentials."""
    in_flight: int = 16
    """Photos uploaded at once, 1 to 256."""

    def __post_init__(self) -> None:
        names = ("val_frac", "calib_frac", "test_frac")
        for name in names:
            if not 0 < getattr(self, name) < 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        held_out = sum(getattr(self, name) for name in names)
        if held_out >= 1:
            raise ValueError(
                f"{', '.join(names)} must leave photos to train on, but sum to {held_out:.2f}"
            )
        if self.kind not in KINDS:
            raise ValueError(f"kind must be one of {', '.join(KINDS)}, got '{self.kind}'")
        if self.newcomers not in ("shares", "train"):
            raise ValueError(f'newcomers must be "shares" or "train", got "{self.newcomers}"')
        if self.newcomers == "train" and not self.keep:
            raise ValueError(
                'newcomers = "train" needs split.keep, the split that they are new to; without it'
                " every photo is a newcomer"
            )
        if not 1 <= self.in_flight <= 256:
            raise ValueError(f"in_flight must be 1 to 256, got {self.in_flight}")

    @property
    def shares(self) -> dict[str, float]:
        """Share of photos of every fold."""
        held_out = {"val": self.val_frac, "calib": self.calib_frac, "test": self.test_frac}
        return {"train": 1 - sum(held_out.values()), **held_out}


@dataclass(frozen=True, kw_only=True, slots=True)
class SplitResult:
    """Sizes of the folds and of the sibling groups in them, and what leaks."""

    photos_by_fold: dict[str, int]
    """Photos in train, val, calib and test."""
    counts_by_fold: dict[str, dict[str, int]]
    """For every fold, photos by true count."""
    groups: int
    """Sibling groups, photos without siblings included."""
    siblings: int
    """Photos with at least one sibling."""
    largest_group: int
    """Photos in the largest sibling group."""
    kept: int
    """Photos that split.keep had placed; they lie where it had them."""
    pairs_across: int
    """Sibling pairs in two folds; 0 unless kind is random or split.keep had them so."""
    leaked: int
    """Test photos with a sibling in train."""
    leaked_share_if_random: float | None
    """Share of test photos with a sibling in train if siblings were not heeded, mean of draws."""
    uploaded: int
    """Photos at the address of split.upload, each read back and equal to ours."""


def check_place(settings: SplitSettings, folder: Path) -> None:
    """Refuse an earlier split that lies in the folder of this one, which would move it aside.

    Raises:
        SettingsError: if split.keep names no split, or the one in `folder`.
    """
    if settings.keep and _earlier(settings.keep).resolve().is_relative_to(folder.resolve()):
        raise SettingsError(
            f"split.keep names '{settings.keep}', which this run writes itself; choose another"
            " --name, or name an earlier split that was moved aside, as in runs/demo/split.1"
        )


def lacks(settings: SplitSettings, run: RunFolder) -> bool:
    """Whether a finished split has not been uploaded to where the settings say."""
    was = run.settings()
    return bool(settings.upload) and any(was[name] != getattr(settings, name) for name in TARGET)


def outside(settings: SplitSettings) -> str:
    """Hash of the earlier split, if one is named. Raises SettingsError if there is none."""
    return fingerprint.of_file(_earlier(settings.keep)) if settings.keep else ""


def split(*, photos: RunFolder, settings: SplitSettings, run: RunFolder) -> SplitResult:
    """Assign folds, whole sibling groups at a time; audit what leaks; upload if asked to.

    Raises:
        DataError: if a fold would be empty, or photos do not arrive where they are uploaded to.
        SettingsError: if split.keep or split.upload cannot be one.
    """
    from stocktake.data import audits, folds
    from stocktake.schema import splits
    from stocktake.store.shards import PhotoShards
    from stocktake.store.tables import write_table

    target = _target(settings)
    kept = _kept(settings)
    shards = PhotoShards.open(photos.artifact("photos"))
    made = folds.assign(
        shards.rows(),
        shares=settings.shares,
        seed=settings.seed,
        kind=settings.kind,
        kept=kept,
        newcomers="train" if settings.newcomers == "train" else "",
    )
    write_table(run.artifact("split.parquet"), made.split, format=splits.FORMAT)
    audit = audits.of_split(made, kind=settings.kind, shares=settings.shares, seed=settings.seed)
    text = json.dumps(audit, indent=2, ensure_ascii=False)
    run.artifact("audit.json").write_text(text + "\n", encoding="utf-8")
    sizes = Counter(made.split["group"].to_pylist())
    _warn(made, sizes, audit, run=run)
    _warn_of_moves(made, settings, run)
    uploaded = _upload(target, made, shards, settings=settings, run=run) if target else 0
    counts_by_fold = folds.tally(made.split)
    if kept:
        run.log("kept", photos=made.kept, gone=len(kept) - made.kept, torn=len(made.torn))
    return SplitResult(
        photos_by_fold={fold: sum(counts.values()) for fold, counts in counts_by_fold.items()},
        counts_by_fold=counts_by_fold,
        groups=len(sizes),
        siblings=sum(size for size in sizes.values() if size > 1),
        largest_group=max(sizes.values()),
        kept=made.kept,
        pairs_across=audit["pairs_across"]["pairs"],
        leaked=round(audit["this"]["leaked"]["mean"] * audit["this"]["test_photos"]),
        leaked_share_if_random=audit["random"]["leaked"]["mean"] if audit["random"] else None,
        uploaded=uploaded,
    )


def _warn(made: "Folds", sizes: Counter[str], audit: Mapping[str, Any], *, run: RunFolder) -> None:
    largest, photos = sizes.most_common(1)[0]
    if photos > max(LARGE_GROUP * len(made.split), 3):
        run.warn(
            f"{photos} of {len(made.split)} photos are one chain of siblings, from {largest};"
            " fold sizes suffer (are their items unknown?)"
        )
    if made.torn:
        run.warn(
            f"{len(made.torn)} sibling groups lie in two folds, as split.keep had their photos"
            f" placed before others joined them; the first is {made.torn[0]}, see audit.json"
        )
    elif across := audit["pairs_across"]["pairs"]:
        run.warn(
            f"{across} sibling pairs lie in two folds, as split.kind = random was asked for; what"
            " this test fold says holds for bins already seen"
        )


def _warn_of_moves(made: "Folds", settings: SplitSettings, run: RunFolder) -> None:
    """Say how many photos lie elsewhere than in this run's split before, if it was set alike."""
    from stocktake.data import folds
    from stocktake.schema import splits
    from stocktake.store.tables import read_table

    before = run.before()
    if settings.keep or before is None or before.status != "done":
        return
    was = before.settings()
    if any(was.get(name) != getattr(settings, name) for name in DECIDING):
        return
    try:
        table = read_table(before.artifact("split.parquet"), format=splits.FORMAT)
    except DataError as err:
        run.warn(f"whether photos moved since the split before is not known: {err}")
        return
    if moved := folds.moved(folds.by_id(table), folds.by_id(made.split)):
        run.warn(
            f"{moved} of {len(table)} photos of the split before lie in another fold now, as"
            f" others joined their groups; split.keep = {before.path} under another --name keeps"
            " them"
        )


def _earlier(keep: str) -> Path:
    """The split.parquet that split.keep means: a file, a split's folder or a run's."""
    named = Path(keep).expanduser()
    if named.is_file():
        return named
    for inside in ("artifacts/split.parquet", "split/artifacts/split.parquet"):
        if (named / inside).is_file():
            return named / inside
    raise SettingsError(
        f"split.keep: there is no split in '{keep}'; name a run folder such as runs/demo,"
        " its split folder, or a split.parquet"
    )


def _kept(settings: SplitSettings) -> dict[str, str]:
    """Fold by photo_id of the earlier split; empty if none is named."""
    from stocktake.data import folds
    from stocktake.schema import splits
    from stocktake.store.tables import read_table

    if not settings.keep:
        return {}
    table = read_table(_earlier(settings.keep), format=splits.FORMAT)
    splits.check(table, whole=False)
    return folds.by_id(table)


def _target(settings: SplitSettings) -> "Store | None":
    from stocktake.store.address import open_store

    if not settings.upload:
        return None
    return open_store(
        settings.upload,
        endpoint_url=settings.endpoint_url,
        anonymous=settings.anonymous,
        create=True,
    )


def _upload(
    store: "Store", made: "Folds", shards: "PhotoShards", *, settings: SplitSettings, run: RunFolder
) -> int:
    """Bring the photos to the store; how many lie there now."""
    from stocktake.data import image_folders

    keys = image_folders.keys_of(made.split.to_pylist())
    came = image_folders.upload(
        store,
        keys,
        jpeg_of=lambda photo_id: shards.jpegs([photo_id])[0],
        in_flight=settings.in_flight,
        progress=lambda done: run.progress(done, len(keys), "photos uploaded"),
    )
    run.log("uploaded", to=store.address, photos=came.photos, found=came.found)
    return came.photos
