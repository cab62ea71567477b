"""Export: the best checkpoint and its calibration become a bundle that serves without torch."""

import shutil
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, RunError, StocktakeError
from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from stocktake.schema.bundles import Bundle
    from stocktake.schema.cards import Calibration
    from stocktake.serve.predictor import Predictor

LICENCE_NOTE = (
    "Weights trained on photos of the Amazon Bin Image Dataset may be bound by that dataset's"
    " licence, a non-commercial one: see NOTICE. The self-test photo is painted."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """What the bundle must prove, and what it says of its data."""

    tolerance: float = 1e-4
    """Largest gap allowed between a probability of the bundle and of the checkpoint, 0 to 1."""
    photos_for_parity: int = 16
    """Painted photos on which the two are compared, 1 or more."""
    seed: int = 0
    """Seed of the painted photos."""
    accept_confidence: float = 0.8
    """Least confidence of an answer that is to be accepted without a second look, 0 to 1; as
    confidence is calibrated, at least this share of accepted answers is right."""
    data: str = ""
    """What the model was trained on, in your words; empty names the address of the photos."""
    licence: str = LICENCE_NOTE
    """What binds the weights; kept in the bundle beside `data`."""

    def __post_init__(self) -> None:
        if not 0 < self.tolerance < 1:
            raise ValueError(f"tolerance must be between 0 and 1, got {self.tolerance}")
        if not 0 <= self.accept_confidence <= 1:
            raise ValueError(
                f"accept_confidence must be between 0 and 1, got {self.accept_confidence}"
            )
        if self.photos_for_parity < 1:
            raise ValueError(f"photos_for_parity must be 1 or more, got {self.photos_for_parity}")
        if self.seed < 0:
            raise ValueError(f"seed must be 0 or more, got {self.seed}")


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportResult:
    """The bundle, and how near it is to the checkpoint."""

    bundle: str
    """Id of the bundle: hash of its model and settings."""
    size_mb: float
    """Size of the model file in megabytes."""
    max_gap: float
    """Largest gap found between two probabilities."""
    tolerance: float
    """Largest gap allowed."""
    photos: int
    """Photos compared."""
    max_count: int
    """Largest count the bundle can say."""


def export(
    *, checkpoint: RunFolder, calibration: RunFolder, settings: ExportSettings, run: RunFolder
) -> ExportResult:
    """Write the bundle, whole or not at all.

    Raises:
        StocktakeError: if its probabilities differ from the checkpoint's beyond the tolerance.
        DataError: if checkpoint and calibration do not belong together.
    """
    from stocktake.schema import bundles, checkpoints
    from stocktake.serve.predictor import Predictor
    from stocktake.vision.onnx import export_onnx

    best = checkpoints.best(checkpoint.artifact("checkpoints"))
    origin = _origin(checkpoint, calibration, run)
    fitted = _calibration(calibration, checkpoints.read(best).max_count)
    target = run.artifact("bundle")
    rough = target.with_name(".bundle.part")
    shutil.rmtree(rough, ignore_errors=True)
    rough.mkdir()
    try:
        run.progress(0, 3, "steps")
        export_onnx(best, rough / bundles.MODEL)
        bundles.write(rough, _about(best, fitted, origin, settings, rough))
        run.progress(1, 3, "steps")
        photos = painted(settings.photos_for_parity, seed=settings.seed)
        predictor = Predictor.load(rough)
        parity = compare(predictor, best, photos, tolerance=settings.tolerance)
        bundles.write_json(rough, bundles.PARITY, parity)
        run.progress(2, 3, "steps")
        _add_self_test(rough, predictor, photos[0])
        shutil.rmtree(target, ignore_errors=True)
        rough.rename(target)
        run.progress(3, 3, "steps")
    finally:
        shutil.rmtree(rough, ignore_errors=True)
    return ExportResult(
        bundle=predictor.bundle.id,
        size_mb=round((target / bundles.MODEL).stat().st_size / 1e6, 2),
        max_gap=parity["max_gap"],
        tolerance=settings.tolerance,
        photos=len(photos),
        max_count=predictor.bundle.max_count,
    )


def compare(
    predictor: "Predictor", checkpoint: Path, photos: Sequence[bytes], *, tolerance: float
) -> dict[str, Any]:
    """The parity report: probabilities of the bundle beside those of its checkpoint.

    Raises:
        StocktakeError: if a probability differs by more than `tolerance`.
    """
    import numpy as np

    from stocktake.vision.inference import log_probs_of

    prepared = np.stack([predictor.prepare(photo) for photo in photos])
    ours = np.exp(predictor.log_probs(prepared))  # (N, K)
    theirs = np.exp(log_probs_of(checkpoint, prepared, views=predictor.bundle.views))  # (N, K)
    gaps = np.abs(ours.astype(np.float64) - theirs).max(axis=1)
    report = {
        "photos": len(photos),
        "tolerance": tolerance,
        "max_gap": float(gaps.max()),
        "mean_gap": float(gaps.mean()),
        "same_counts": int((ours.argmax(axis=1) == theirs.argmax(axis=1)).sum()),
    }
    if not gaps.max() <= tolerance:  # NaN fails too
        raise StocktakeError(
            f"export: the ONNX model's probabilities differ from the checkpoint's by up to"
            f" {gaps.max():.2g} on {len(photos)} photos, export.tolerance allows {tolerance:g};"
            " no bundle was written; raise the tolerance or choose another backbone"
        )
    return report


def painted(photos: int, *, seed: int) -> list[bytes]:
    """JPEGs of painted bins with all kinds of counts: photos that no dataset's licence binds."""
    from stocktake.bins import draw
    from stocktake.bins.scene import scene

    return [draw.jpeg(scene(seed, number)) for number in range(photos)]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Origin:
    """What the runs before this one say."""

    data: str
    views: int
    decode: str
    train_counts: dict[str, int]


def _origin(checkpoint: RunFolder, calibration: RunFolder, run: RunFolder) -> _Origin:
    """Where the photos came from, how the calibrated scores looked at them, how they were decoded.

    Raises:
        DataError: if the evaluation has no scorecard that can be read.
        RunError: if the calibration was fitted on the scores of another checkpoint.
    """
    from stocktake.schema.cards import ScoreCard

    data = "unknown photos"
    decode = ScoreCard.read(calibration.artifact("scorecard.json")).decode
    trained_on = checkpoint.result().get("train_counts", {})
    photos = _input_of(checkpoint, "photos")
    if photos is not None:
        data = str(photos.settings().get("source", data))
    scores = _input_of(calibration, "scores")
    if scores is None:
        run.warn("the scores behind the calibration are gone: taken as fitted on this checkpoint")
        return _Origin(data=data, views=1, decode=decode, train_counts=trained_on)
    views = int(scores.settings().get("views", 1))
    scored = scores.info()["inputs"].get("checkpoint", {}).get("fingerprint")
    if scored != checkpoint.fingerprint:
        raise RunError(
            f"{calibration.path} was fitted on scores of another checkpoint than {checkpoint.path};"
            " run `stocktake score` and `stocktake evaluate` for this one"
        )
    return _Origin(data=data, views=views, decode=decode, train_counts=trained_on)


def _input_of(run: RunFolder, name: str) -> RunFolder | None:
    """The run that `run` took `name` from, if it is still there."""
    address = run.info().get("inputs", {}).get(name, {}).get("address")
    found = RunFolder(Path(address)) if address else None
    return found if found is not None and found.exists() else None


def _about(
    best: Path, fitted: "Calibration", origin: _Origin, settings: ExportSettings, rough: Path
) -> "Bundle":
    from stocktake.runs import machine
    from stocktake.schema import bundles, checkpoints

    about = checkpoints.read(best)
    return bundles.Bundle(
        max_count=about.max_count,
        preprocessing=about.preprocessing,
        calibration=asdict(fitted),
        views=origin.views,
        decode=origin.decode,
        accept_confidence=settings.accept_confidence,
        train_counts=origin.train_counts,
        backbone=about.backbone,
        head=about.head,
        weights_source=about.weights_source,
        model_sha256=bundles.hash_of(rough / bundles.MODEL),
        data=settings.data or f"Trained on photos from {origin.data}.",
        licence=settings.licence,
        versions=machine.versions(),
    )


def _calibration(calibration: RunFolder, max_count: int) -> "Calibration":
    """The calibration; DataError if it is for another number of counts."""
    from stocktake.schema.cards import Calibration

    fitted = Calibration.read(calibration.artifact("calibration.json"))
    if fitted.max_count != max_count:
        raise DataError(
            f"{calibration.path} calibrates counts up to {fitted.max_count}, the checkpoint says"
            f" counts up to {max_count}; score and evaluate this checkpoint"
        )
    return fitted


def _add_self_test(folder: Path, predictor: "Predictor", photo: bytes) -> None:
    """Put a photo and today's answer to it into the bundle, and check that they pass."""
    from stocktake.schema import bundles

    path = folder / bundles.SELF_TEST_PHOTO
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(photo)
    (answer,) = predictor.predict([photo])
    if isinstance(answer, DataError):
        raise answer
    bundles.write_json(folder, bundles.SELF_TEST_EXPECTED, answer.to_dict())
    predictor.self_test()
