"""Quantised: what export needs for int8: photos to fit and to judge it on, and the gate."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, StocktakeError
from stocktake.runs.folder import RunFolder
from stocktake.stages import origins

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from stocktake.schema.bundles import Bundle
    from stocktake.serve.predictor import Predictor
    from stocktake.store.shards import PhotoShards

FITTED_ON, JUDGED_ON = "train", "val"
"""Folds: calib and test are kept for what they are for."""
BATCH = 16
OTHERWISE = 'set export.precision = "float32"'
WORSE_IF = {"accuracy": "less", "nll": "more", "ece": "more", "covered": "less"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Photos:
    """Photos of some ids, in the shards that hold them."""

    shards: "PhotoShards"
    photo_ids: Sequence[str]

    def prepared(self, predictor: "Predictor") -> Iterator["NDArray[np.uint8]"]:
        """Batches uint8 (B, S, S, 3), as the predictor prepares them.

        Raises:
            DataError: if a photo cannot be had.
        """
        import numpy as np

        for start in range(0, len(self.photo_ids), BATCH):
            jpegs = self.shards.jpegs(self.photo_ids[start : start + BATCH])
            yield np.stack([predictor.prepare(jpeg) for jpeg in jpegs])


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """All that int8 is fitted and judged on."""

    fit: Photos
    """Photos of the train fold."""
    judge: Photos
    """N photos of the val fold."""
    counts: "NDArray[np.int64]"
    """Their true counts (N,)."""
    log_probs: "NDArray[np.float32]"
    """What the checkpoint says of them (N, K), before the temperature."""


def evidence(checkpoint: RunFolder, calibration: RunFolder, *, photos: int, seed: int) -> Evidence:
    """The photos behind a checkpoint and its calibration.

    Args:
        checkpoint: the run of train.
        calibration: the run of evaluate.
        photos: how many of the train fold to fit on; all, if it has fewer.
        seed: of their choice.

    Raises:
        RunError: if one of the runs before is gone or was made anew since.
        DataError: if a fold that is needed has no photo, or a file is damaged.
    """
    import numpy as np

    from stocktake.schema import scores as schema
    from stocktake.schema import splits
    from stocktake.store.tables import read_table

    split = origins.needed(checkpoint, "split", otherwise=OTHERWISE)
    folds = read_table(split.artifact("split.parquet"), format=splits.FORMAT)
    train = schema.of_folds(folds, [FITTED_ON])["photo_id"].to_pylist()
    if not train:
        raise DataError(f"{split.path} has no photo in the {FITTED_ON} fold; {OTHERWISE}")
    places = np.random.default_rng(seed).permutation(len(train))[:photos]
    scores = origins.needed(calibration, "scores", otherwise=OTHERWISE)
    table = read_table(scores.artifact("scores.parquet"), format=schema.FORMAT)
    schema.check(table)
    rows = schema.of_folds(table, [JUDGED_ON])
    if not len(rows):
        raise DataError(
            f"{scores.path} holds no photo of the {JUDGED_ON} fold, on which int8 is judged;"
            f" put '{JUDGED_ON}' into score.folds and score again, or {OTHERWISE}"
        )
    return Evidence(
        fit=Photos(
            shards=_shards(checkpoint), photo_ids=[train[place] for place in sorted(places)]
        ),
        judge=Photos(shards=_shards(scores), photo_ids=rows["photo_id"].to_pylist()),
        counts=schema.counts(rows),
        log_probs=schema.matrix(rows),
    )


def _shards(run: RunFolder) -> "PhotoShards":
    from stocktake.store.shards import PhotoShards

    photos = origins.needed(run, "photos", otherwise=OTHERWISE)
    return PhotoShards.open(photos.artifact("photos"))


def quantise(predictor: "Predictor", found: Evidence, run: RunFolder) -> None:
    """Replace the model in the predictor's folder by its int8 twin; bundle.json still says float32.

    Raises:
        StocktakeError: if the model cannot be quantised, or a photo cannot be had.
    """
    from stocktake.imaging.preprocess import Preprocessing, normalise
    from stocktake.schema import bundles
    from stocktake.serve import quantise as room

    wanted = Preprocessing.from_dict(predictor.bundle.preprocessing)
    total = len(found.fit.photo_ids)

    def batches() -> Iterator["NDArray[np.float32]"]:
        done = 0
        for prepared in found.fit.prepared(predictor):
            yield normalise(prepared, wanted)
            done += len(prepared)
            run.progress(done, total, "photos fitted on")

    model = predictor.folder / bundles.MODEL
    room.quantise(model, model, batches())


def judged(predictor: "Predictor", found: Evidence, run: RunFolder) -> dict[str, Any]:
    """The int8 model beside its checkpoint on the val fold, as plain data.

    photos, same_counts (both answer the same), max_gap (between two probabilities), and `float32`
    and `int8`: accuracy, nll, ece, covered and width of each, answered as the bundle answers.

    Raises:
        DataError: if a photo cannot be had.
    """
    import numpy as np

    made, done, total = [], 0, len(found.counts)
    for prepared in found.judge.prepared(predictor):
        made.append(predictor.log_probs(prepared))
        done += len(prepared)
        run.progress(done, total, "photos judged")
    ours = np.concatenate(made)  # (N, K)
    gaps = np.abs(np.exp(ours.astype(np.float64)) - np.exp(found.log_probs.astype(np.float64)))
    said = [answers(one, predictor.bundle)[1] for one in (found.log_probs, ours)]
    return {
        "fold": JUDGED_ON,
        "photos": total,
        "fitted_on": len(found.fit.photo_ids),
        "same_counts": int((said[0] == said[1]).sum()),
        "max_gap": float(gaps.max()),
        "float32": figures(found.log_probs, found.counts, predictor.bundle),
        "int8": figures(ours, found.counts, predictor.bundle),
    }


def answers(
    log_probs: "NDArray[Any]", bundle: "Bundle"
) -> "tuple[NDArray[Any], NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]":
    """Log-probabilities (N, K) and counts (N,) as the bundle answers, and its intervals' ends."""
    import numpy as np

    from stocktake.measure import conformal
    from stocktake.measure.calibration import with_temperature
    from stocktake.measure.decoding import decode

    honest = with_temperature(log_probs, float(bundle.calibration["temperature"]))
    said = decode(honest, bundle.decode)
    low, high = conformal.intervals(honest, float(bundle.calibration["threshold"]))
    return honest, said, np.minimum(low, said), np.maximum(high, said)  # as serve.predictor widens


def figures(
    log_probs: "NDArray[Any]", counts: "NDArray[np.int64]", bundle: "Bundle"
) -> dict[str, float]:
    """accuracy, nll, ece, covered (shares, nats) and width (counts) of a bundle's answers.

    Args:
        log_probs: of a model (N, K), before the temperature.
        counts: true counts (N,).
        bundle: says temperature, threshold and decoding.
    """
    from stocktake.measure import metrics

    honest, said, low, high = answers(log_probs, bundle)
    return {
        "accuracy": metrics.accuracy(said, counts),
        "nll": metrics.nll(honest, counts),
        "ece": metrics.expected_calibration_error(honest, counts),
        "covered": float(((low <= counts) & (counts <= high)).mean()),
        "width": float((high - low + 1).mean()),
    }


def check(report: Mapping[str, Any], allowed: Mapping[str, tuple[str, float]]) -> None:
    """Hold int8 to its margins.

    Args:
        report: as `judged` gives it.
        allowed: by figure, the name of its setting and by how much int8 may be worse.

    Raises:
        StocktakeError: naming each figure that is worse by more, found and allowed.
    """
    told = []
    for name, (setting, most) in allowed.items():
        before, after = report["float32"][name], report["int8"][name]
        worse = before - after if WORSE_IF[name] == "less" else after - before
        if not worse <= most + ROUNDING:  # NaN fails too
            told.append(
                f"{name} goes from {before:.4f} to {after:.4f}, {worse:.4f} worse,"
                f" export.{setting} allows {most:g}"
            )
    if told:
        raise StocktakeError(
            f"export: int8 is too far from float32 on {report['photos']} photos of the"
            f" {report['fold']} fold: {'; '.join(told)}; no bundle was written; raise the margin,"
            f" fit on more photos (export.calibration_photos), or {OTHERWISE}"
        )


ROUNDING = 1e-9
"""Shares of photos that differ by exactly the margin pass, whatever their last bit."""
