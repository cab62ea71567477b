"""Export: the best checkpoint and its calibration become a bundle that serves without torch."""

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from stocktake.errors import DataError, StocktakeError
from stocktake.pages import model_card
from stocktake.runs.folder import RunFolder
from stocktake.stages import origins, quantised

if TYPE_CHECKING:
    from stocktake.schema.bundles import Bundle
    from stocktake.schema.cards import Calibration, ScoreCard
    from stocktake.serve.predictor import Predictor

LICENCE_NOTE = (
    "Weights trained on photos of the Amazon Bin Image Dataset may be bound by that dataset's"
    " licence, a non-commercial one: see NOTICE. The self-test photo is painted."
)


@dataclass(frozen=True, kw_only=True, slots=True)
class ExportSettings:
    """What the bundle must prove, and what it says of its data."""

    precision: str = "float32"
    """What the model computes with: float32, or int8, smaller and faster on processors that have
    integer instructions; int8 is judged on the val fold before it is let through."""
    calibration_photos: int = 256
    """Photos of the train fold that int8 reads its ranges off, 1 or more."""
    max_accuracy_loss: float = 0.01
    """Most accuracy that int8 may lose on the val fold, a share of photos, 0 to 1."""
    max_ece_gain: float = 0.02
    """Most that int8 may add to the calibration error on the val fold, 0 to 1."""
    max_coverage_loss: float = 0.02
    """Most that int8's intervals may lose of the photos they hold on the val fold, 0 to 1."""
    tolerance: float = 1e-4
    """Largest gap allowed between a probability of the float32 model and of the checkpoint, 0 to 1;
    int8 is made of that model."""
    photos_for_parity: int = 16
    """Painted photos on which the two are compared, 1 or more."""
    seed: int = 0
    """Seed of the painted photos, and of the choice of those that int8 reads its ranges off."""
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
        if self.precision not in ("float32", "int8"):
            raise ValueError(f'precision must be "float32" or "int8", got "{self.precision}"')
        for name in ("max_accuracy_loss", "max_ece_gain", "max_coverage_loss"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be between 0 and 1, got {getattr(self, name)}")
        for name in ("photos_for_parity", "calibration_photos"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be 1 or more, got {getattr(self, name)}")
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
    """Largest gap found between two probabilities of the float32 model and the checkpoint."""
    tolerance: float
    """Largest gap allowed."""
    photos: int
    """Photos compared."""
    max_count: int
    """Largest count the bundle can say."""
    precision: str = "float32"
    """What its model computes with."""
    float32: dict[str, float] = field(default_factory=dict)
    """With int8: the float32 model's accuracy, nll, ece, share covered and width on the val fold,
    and its size."""
    int8: dict[str, float] = field(default_factory=dict)
    """With int8: its own."""


def export(
    *, checkpoint: RunFolder, calibration: RunFolder, settings: ExportSettings, run: RunFolder
) -> ExportResult:
    """Write the bundle, whole or not at all.

    Raises:
        StocktakeError: if its probabilities differ from the checkpoint's beyond the tolerance, or
            int8 is worse than float32 beyond the margins.
        DataError: if checkpoint and calibration do not belong together.
        RunError: if int8 is wanted and the runs that have its photos are gone.
    """
    from stocktake.schema import bundles
    from stocktake.schema.cards import ScoreCard

    card = ScoreCard.read(calibration.artifact("scorecard.json"))
    origin = origins.of_bundle(checkpoint, calibration, run)
    found = _evidence(checkpoint, calibration, settings)
    target = run.artifact("bundle")
    run.artifact(bundles.PARITY).unlink(missing_ok=True)  # of an attempt that was refused
    rough = target.with_name(".bundle.part")
    shutil.rmtree(rough, ignore_errors=True)
    rough.mkdir()
    try:
        run.progress(0, 3, "steps")
        photos = painted(settings.photos_for_parity, seed=settings.seed)
        about = _about(checkpoint, calibration, origin, card, settings)
        predictor, parity = _float32(checkpoint, about, photos, settings, rough)
        run.progress(1, 3, "steps")
        if found is not None:
            _say_doubts(len(found.counts), settings, run)
            predictor, parity["int8"] = _int8(predictor, found, settings, run)
        run.progress(2, 3, "steps")
        bundles.write_json(rough, bundles.PARITY, parity)
        _add_self_test(rough, predictor, photos[0])
        text = model_card.card(predictor.bundle, card, parity)
        (rough / bundles.CARD).write_text(text, encoding="utf-8")
        shutil.rmtree(target, ignore_errors=True)
        rough.rename(target)
        run.progress(3, 3, "steps")
    finally:
        shutil.rmtree(rough, ignore_errors=True)
    return _result(predictor.bundle, parity, settings)


def _result(bundle: "Bundle", parity: Mapping[str, Any], settings: ExportSettings) -> ExportResult:
    judged = parity.get("int8", {"float32": {}, "int8": {}})
    return ExportResult(
        bundle=bundle.id,
        precision=bundle.precision,
        size_mb=judged["int8"].get("size_mb", parity["size_mb"]),
        max_gap=parity["max_gap"],
        tolerance=settings.tolerance,
        photos=parity["photos"],
        max_count=bundle.max_count,
        float32=judged["float32"],
        int8=judged["int8"],
    )


def _evidence(
    checkpoint: RunFolder, calibration: RunFolder, settings: ExportSettings
) -> "quantised.Evidence | None":
    """What int8 is fitted and judged on; None for float32."""
    if settings.precision == "float32":
        return None
    return quantised.evidence(
        checkpoint, calibration, photos=settings.calibration_photos, seed=settings.seed
    )


def _float32(
    checkpoint: RunFolder,
    about: "Bundle",
    photos: Sequence[bytes],
    settings: ExportSettings,
    rough: Path,
) -> "tuple[Predictor, dict[str, Any]]":
    """The float32 model in the unpublished folder, and its parity report."""
    from stocktake.schema import bundles, checkpoints
    from stocktake.serve.predictor import Predictor
    from stocktake.vision.onnx import export_onnx

    best = checkpoints.best(checkpoint.artifact("checkpoints"))
    export_onnx(best, rough / bundles.MODEL)
    _write_about(rough, about, precision="float32")
    predictor = Predictor.load(rough)
    parity = compare(predictor, best, photos, tolerance=settings.tolerance)
    return predictor, parity | {"size_mb": _size_mb(rough)}


def _int8(
    predictor: "Predictor", found: "quantised.Evidence", settings: ExportSettings, run: RunFolder
) -> "tuple[Predictor, dict[str, Any]]":
    """The same with the int8 model in place of the float32 one, and how the two compare.

    Raises:
        StocktakeError: if it is worse by more than the margins; the comparison is then in the
            run's artifacts/parity.json.
    """
    from stocktake.schema import bundles
    from stocktake.serve.predictor import Predictor

    folder, before_mb = predictor.folder, _size_mb(predictor.folder)
    quantised.quantise(predictor, found, run)
    _write_about(folder, predictor.bundle, precision="int8")
    predictor = Predictor.load(folder)
    report = quantised.judged(predictor, found, run)
    report["float32"]["size_mb"], report["int8"]["size_mb"] = before_mb, _size_mb(folder)
    report["allowed"] = {
        "accuracy": ("max_accuracy_loss", settings.max_accuracy_loss),
        "ece": ("max_ece_gain", settings.max_ece_gain),
        "covered": ("max_coverage_loss", settings.max_coverage_loss),
    }
    try:
        quantised.check(report, report["allowed"])
    except StocktakeError:
        refused = run.artifact(bundles.PARITY)
        bundles.write_json(refused.parent, bundles.PARITY, {"int8": report})
        raise
    return predictor, report


def _say_doubts(photos: int, settings: ExportSettings, run: RunFolder) -> None:
    least = min(settings.max_accuracy_loss, settings.max_coverage_loss)
    if 0 < least < 1 / photos:
        run.warn(
            f"int8 is judged on {photos} photos, where one is {1 / photos:.2%} of them and a margin"
            f" of {least:.2%} allows none: give the val fold more photos, or raise the margin"
        )


def _size_mb(folder: Path) -> float:
    from stocktake.schema import bundles

    return round((folder / bundles.MODEL).stat().st_size / 1e6, 2)


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


def _about(
    checkpoint: RunFolder,
    calibration: RunFolder,
    origin: origins.Origin,
    card: "ScoreCard",
    settings: ExportSettings,
) -> "Bundle":
    """bundle.json, but for the model's hash and precision."""
    from stocktake.runs import machine
    from stocktake.schema import bundles, checkpoints

    about = checkpoints.read(checkpoints.best(checkpoint.artifact("checkpoints")))
    return bundles.Bundle(
        max_count=about.max_count,
        preprocessing=about.preprocessing,
        calibration=asdict(_calibration(calibration, about.max_count)),
        views=origin.views,
        decode=card.decode,
        accept_confidence=settings.accept_confidence,
        train_counts=origin.train_counts,
        backbone=about.backbone,
        head=about.head,
        weights_source=about.weights_source,
        model_sha256="",
        data=settings.data or f"Trained on photos from {origin.data}.",
        licence=settings.licence,
        versions=machine.versions(),
    )


def _write_about(folder: Path, about: "Bundle", *, precision: str) -> None:
    """Write bundle.json for the model that lies in the folder now."""
    from stocktake.schema import bundles

    found = bundles.hash_of(folder / bundles.MODEL)
    bundles.write(folder, replace(about, precision=precision, model_sha256=found, id=""))


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
