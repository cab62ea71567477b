"""Bundle: a folder with all it takes to answer a count, and the proof that it still does.

bundle/
    model.onnx               photos float32 (B, 3, S, S), normalised -> log_probs float32 (B, K);
                             inside it computes with `precision`
    bundle.json              what this module describes
    self-test/photo.jpg      a painted photo, no photo of any dataset
    self-test/expected.json  what the bundle must answer to it
    parity.json              how far model.onnx was from the checkpoint when it was exported
    card.md                  what all this is worth and meant for, for people
"""

import dataclasses
import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stocktake.errors import DataError

FORMAT = "bundle/4"
FILE = "bundle.json"
MODEL = "model.onnx"
PARITY = "parity.json"
CARD = "card.md"
SELF_TEST_PHOTO = "self-test/photo.jpg"
SELF_TEST_EXPECTED = "self-test/expected.json"
PRECISIONS = ("float32", "int8")


@dataclass(frozen=True, kw_only=True, slots=True)
class Bundle:
    """What bundle.json holds."""

    max_count: int
    """Largest count the model can say; K = max_count + 1."""
    preprocessing: dict[str, Any]
    """side_px, mean and std, as `imaging.preprocess.Preprocessing.to_dict` gives them."""
    calibration: dict[str, Any]
    """Temperature, coverage, threshold and their origin, as calibration.json has them."""
    backbone: str | dict[str, Any]
    """Name of the backbone, or a table with its name and options."""
    head: str | dict[str, Any]
    """Name of the head, or a table with its name and options."""
    weights_source: str
    """Where the first weights came from: a package, a hub, a file, or "random"."""
    model_sha256: str
    """Hash of model.onnx, hex."""
    precision: str = "float32"
    """What model.onnx computes with inside: float32, or int8 where it has integer kernels."""
    views: int = 1
    """Ways an answer looks at the photo, as the calibrated scores did; see imaging.preprocess."""
    decode: str = "mode"
    """How probabilities become the count answered, as it was evaluated; see measure.decoding."""
    accept_confidence: float = 0.8
    """Least confidence of an answer that needs no second look, 0 to 1."""
    train_counts: dict[str, int] = field(default_factory=dict)
    """Photos trained on, by their count; what an answer without looking is made of."""
    data: str = ""
    """What the model was trained on."""
    licence: str = ""
    """What binds the weights."""
    versions: dict[str, str] = field(default_factory=dict)
    """Versions of the libraries that made the bundle."""
    id: str = ""
    """Hash of everything above: the model and its settings; 16 hex digits."""
    format: str = FORMAT
    """Name and version of this file's format."""

    def __post_init__(self) -> None:
        if not self.id:
            object.__setattr__(self, "id", id_of(self))
        check(self)


def id_of(bundle: Bundle) -> str:
    """The id that belongs to the bundle's content; any change gives another."""
    row = {k: v for k, v in dataclasses.asdict(bundle).items() if k != "id"}
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()[:16]


def check(bundle: Bundle) -> None:
    """Hold a bundle to its format.

    Raises:
        DataError: if it is of another format, a field is out of range, or its id is not its own.
    """
    if bundle.format != FORMAT:
        raise DataError(
            f"bundle has format {bundle.format!r}, this version reads {FORMAT}; export it again"
        )
    if not 0 <= bundle.accept_confidence <= 1:
        raise DataError(f"bundle accepts from {bundle.accept_confidence}, expected 0 to 1")
    if bundle.precision not in PRECISIONS:
        raise DataError(
            f"bundle has precision {bundle.precision!r}, expected {' or '.join(PRECISIONS)};"
            " export it again"
        )
    if bundle.max_count < 1:
        raise DataError(f"bundle has max_count {bundle.max_count}, expected 1 or more")
    for name, wanted in (
        ("preprocessing", {"side_px", "mean", "std"}),
        ("calibration", {"temperature", "coverage", "threshold"}),
    ):
        missing = wanted - set(getattr(bundle, name))
        if missing:
            raise DataError(f"bundle's {name} lacks {', '.join(sorted(missing))}; export it again")
    if bundle.id != id_of(bundle):
        raise DataError(
            f"bundle.json says id {bundle.id}, its content has {id_of(bundle)};"
            " it was changed after export; export it again"
        )


def write(folder: Path, bundle: Bundle) -> None:
    """Put bundle.json into a folder that the writer has not published yet."""
    (folder / FILE).write_text(_text(dataclasses.asdict(bundle)), encoding="utf-8")


def write_json(folder: Path, name: str, row: dict[str, Any]) -> None:
    """Put one of the bundle's other JSON files into its unpublished folder."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(_text(row), encoding="utf-8")


def read(folder: Path) -> Bundle:
    """The Bundle that `folder` describes, its model's hash verified.

    Raises:
        DataError: if a file is missing, damaged, of another format or not what was exported.
    """
    folder = Path(folder)
    row = read_json(folder, FILE)
    if row.get("format") != FORMAT:
        raise DataError(
            f"{folder / FILE} has format {row.get('format')!r}, this version reads {FORMAT};"
            " export it again"
        )
    known = {f.name for f in dataclasses.fields(Bundle)}
    try:
        bundle = Bundle(**{k: v for k, v in row.items() if k in known})
    except (TypeError, AttributeError) as err:
        raise DataError(f"{folder / FILE} is not whole ({err}); export it again") from err
    found = hash_of(folder / MODEL)
    if found != bundle.model_sha256:
        raise DataError(
            f"{folder / MODEL} has hash {found[:12]}, bundle.json was written for"
            f" {bundle.model_sha256[:12]}; copy the bundle again or export it again"
        )
    return bundle


def read_json(folder: Path, name: str) -> dict[str, Any]:
    """The object in one of the bundle's JSON files.

    Raises:
        DataError: if it is missing or is not a JSON object.
    """
    path = Path(folder) / name
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except (FileNotFoundError, NotADirectoryError):
        raise DataError(
            f"{folder} is not a whole bundle: it has no {name}; `stocktake export` makes one"
        ) from None
    except (ValueError, OSError) as err:
        raise DataError(f"{path} cannot be read ({err}); export it again") from err
    if not isinstance(row, dict):
        raise DataError(f"{path} holds a {type(row).__name__}, expected an object; export it again")
    return row


def hash_of(path: Path) -> str:
    """SHA-256 of a file, hex.

    Raises:
        DataError: if the file is missing.
    """
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except FileNotFoundError:
        raise DataError(
            f"{path.parent} is not a whole bundle: it has no {path.name}; `stocktake export`"
            " makes one"
        ) from None


def _text(row: dict[str, Any]) -> str:
    return json.dumps(row, indent=2, ensure_ascii=False) + "\n"
