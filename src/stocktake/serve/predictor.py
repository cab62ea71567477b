"""Predictor: photo bytes become calibrated counts by a bundle's ONNX model; no torch."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.errors import DataError, nearest
from stocktake.imaging.preprocess import VIEWS, Preprocessing, normalise, prepare
from stocktake.measure.calibration import with_temperature
from stocktake.measure.conformal import intervals
from stocktake.measure.decoding import DECODINGS, decode
from stocktake.schema import bundles
from stocktake.schema.bundles import Bundle
from stocktake.schema.predictions import Prediction

BATCH = 16
"""Photos in one call of the engine at most: bounds memory, and larger batches bring no speed."""
SELF_TEST_TOLERANCE = 5e-3
"""Largest honest gap in a probability between two machines: JPEG decoders may differ by a level or
two per pixel, processors in the last bits of a sum."""


class Predictor:
    """Answers photos with a bundle's model; safe to call from several threads.

    Args:
        folder: the bundle's folder.
        bundle: what its bundle.json says.
        session: the loaded model, an `onnxruntime.InferenceSession`.
    """

    def __init__(self, folder: Path, bundle: Bundle, session: Any) -> None:
        self.folder = folder
        self.bundle = bundle
        self._session = session
        if bundle.decode not in DECODINGS:
            raise DataError(
                f"{folder / bundles.FILE} decodes by '{bundle.decode}', which this version does not"
                f" know; {nearest(bundle.decode, DECODINGS)}; export it again"
            )
        self._preprocessing = Preprocessing.from_dict(bundle.preprocessing)
        self._temperature = float(bundle.calibration["temperature"])
        self._threshold = float(bundle.calibration["threshold"])
        self._coverage = float(bundle.calibration["coverage"])

    @classmethod
    def load(cls, bundle: Path, *, threads: int = 0) -> "Predictor":
        """A predictor over the bundle in that folder.

        Args:
            bundle: the bundle's folder.
            threads: threads the engine may use for one call; 0 for one per core.

        Raises:
            DataError: if the bundle is not whole, was changed, or its model does not fit it.
        """
        folder = Path(bundle)
        about = bundles.read(folder)
        session = _session(folder / bundles.MODEL, threads)
        _check_fits(session, about, folder)
        return cls(folder, about, session)

    def predict(
        self, photos: Sequence[bytes], photo_ids: Sequence[str] | None = None
    ) -> list[Prediction | DataError]:
        """An answer per photo, in their order; a bad photo hurts only itself.

        Args:
            photos: whole JPEG, PNG or WEBP files.
            photo_ids: their names; empty names if None.
        """
        ids = photo_ids if photo_ids is not None else [""] * len(photos)
        answers: list[Prediction | DataError] = []
        for start in range(0, len(photos), BATCH):
            stop = start + BATCH
            answers += self._answer(photos[start:stop], ids[start:stop])
        return answers

    def prepare(self, photo: bytes) -> NDArray[np.uint8]:
        """The photo as this bundle's model wants it, uint8 (S, S, 3).

        Raises:
            DataError: if it cannot be decoded.
        """
        return prepare(photo, self._preprocessing.side_px)

    def log_probs(self, photos: NDArray[np.uint8]) -> NDArray[np.float32]:
        """The model's own log-probabilities (B, K), before the temperature, of prepared photos."""
        planes = normalise(photos, self._preprocessing)  # (B, 3, S, S)
        made = self._run(planes)
        if self.bundle.views == 1:
            return made
        looks = [made]
        for axes in VIEWS[1 : self.bundle.views]:
            looks.append(self._run(np.ascontiguousarray(np.flip(planes, axes))))
        mean = np.mean(looks, axis=0)
        return (mean - np.logaddexp.reduce(mean, axis=1, keepdims=True)).astype(np.float32)

    def self_test(self) -> float:
        """Largest gap between the bundle's expected probabilities and today's answer.

        Raises:
            DataError: if the gap is beyond what two machines may differ by.
        """
        expected = bundles.read_json(self.folder, bundles.SELF_TEST_EXPECTED)
        answer = self._self_test_answer()
        found = np.asarray(answer.probabilities)
        try:
            wanted = np.asarray(expected.get("probabilities", ()), dtype=np.float64)
        except (TypeError, ValueError):
            wanted = np.empty(0)
        if wanted.shape != found.shape:
            raise DataError(
                f"{self.folder}: the self-test expects {wanted.size} probabilities, the model gives"
                f" {found.size}; export the bundle again"
            )
        gap = float(np.abs(wanted - found).max())
        if not gap <= SELF_TEST_TOLERANCE:  # NaN fails too
            raise DataError(
                f"{self.folder}: the self-test photo got count {answer.count} with a probability"
                f" off by {gap:.4f}, expected count {expected.get('count')} within"
                f" {SELF_TEST_TOLERANCE}; this machine computes differently: export the bundle here"
            )
        return gap

    def _run(self, planes: NDArray[np.float32]) -> NDArray[np.float32]:
        name = self._session.get_inputs()[0].name
        made: NDArray[np.float32] = self._session.run(None, {name: planes})[0]  # (B, K)
        return made

    def _self_test_answer(self) -> Prediction:
        path = self.folder / bundles.SELF_TEST_PHOTO
        try:
            photo = path.read_bytes()
        except OSError as err:
            raise DataError(
                f"{self.folder} is not a whole bundle: {bundles.SELF_TEST_PHOTO} cannot be read"
                f" ({err.strerror}); export it again"
            ) from err
        (answer,) = self.predict([photo])
        if isinstance(answer, DataError):
            raise DataError(f"{path}: {answer}; export the bundle again") from answer
        return answer

    def _answer(
        self, photos: Sequence[bytes], photo_ids: Sequence[str]
    ) -> list[Prediction | DataError]:
        """At most BATCH photos, through prepare, model, calibration."""
        answers: dict[int, Prediction | DataError] = {}
        prepared: dict[int, NDArray[np.uint8]] = {}
        for place, photo in enumerate(photos):
            try:
                prepared[place] = self.prepare(photo)
            except DataError as err:
                answers[place] = err
        if prepared:
            log_probs = self.log_probs(np.stack(list(prepared.values())))
            ids = [photo_ids[place] for place in prepared]
            answers |= dict(zip(prepared, self._calibrated(log_probs, ids), strict=True))
        return [answers[place] for place in range(len(photos))]

    def _calibrated(
        self, log_probs: NDArray[np.float32], photo_ids: Sequence[str]
    ) -> list[Prediction]:
        honest = with_temperature(log_probs, self._temperature)
        counts = decode(honest, self.bundle.decode)
        low, high = intervals(honest, self._threshold)
        # The interval is made around the mode; another decoding may lie beside it. Wider never
        # promises too much.
        low, high = np.minimum(low, counts), np.maximum(high, counts)
        probabilities = np.exp(honest.astype(np.float64))
        probabilities /= probabilities.sum(axis=1, keepdims=True)  # float32 sums are off by 1e-7
        return [
            Prediction(
                photo_id=photo_id,
                count=int(counts[i]),
                confidence=float(probabilities[i, counts[i]]),
                low=int(low[i]),
                high=int(high[i]),
                coverage=self._coverage,
                decision=(
                    "accept"
                    if probabilities[i, counts[i]] >= self.bundle.accept_confidence
                    else "review"
                ),
                probabilities=probabilities[i].tolist(),
                bundle=self.bundle.id,
            )
            for i, photo_id in enumerate(photo_ids)
        ]


def _session(model: Path, threads: int) -> Any:
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    options.log_severity_level = 3
    # Idle engine threads that spin starve their neighbours: on shared cores two threads fell below
    # one; switched off, batch 1 ran about twice as fast (measured, docs/log.md).
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    try:
        return ort.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    except Exception as err:  # the engine's own errors share no other base
        reason = " ".join(str(err).split())
        raise DataError(f"{model} cannot be loaded ({reason}); export it again") from err


def _check_fits(session: Any, about: Bundle, folder: Path) -> None:
    """DataError unless the model takes the bundle's side and gives its number of counts."""
    side_px = int(about.preprocessing["side_px"])
    takes = [one.shape[1:] for one in session.get_inputs()]
    gives = [one.shape[1:] for one in session.get_outputs()]
    wanted = [[3, side_px, side_px]], [[about.max_count + 1]]
    if (takes, gives) != wanted:
        raise DataError(
            f"{folder / bundles.MODEL} takes {takes} and gives {gives}, bundle.json needs"
            f" {wanted[0]} and {wanted[1]}; export it again"
        )
