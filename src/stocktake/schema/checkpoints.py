"""Checkpoint: a folder with a model's weights and, in checkpoint.json, all it takes to rebuild it.

checkpoints/epoch-0003/{weights.safetensors, trainer.pt, checkpoint.json}, and beside the folders a
small text file `best` that names one of them.
"""

import dataclasses
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from stocktake.errors import DataError

FORMAT = "checkpoint/1"
FILE = "checkpoint.json"
WEIGHTS = "weights.safetensors"
BEST = "best"
"""Text file beside the checkpoint folders: the name of the best one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Checkpoint:
    """What checkpoint.json holds."""

    epoch: int
    """Epochs trained, counted from 1."""
    step: int
    """Optimizer steps taken."""
    backbone: str | dict[str, Any]
    """Name of the backbone, or a table with its name and options."""
    head: str | dict[str, Any]
    """Name of the head, or a table with its name and options."""
    max_count: int
    """Largest count the model can say; K = max_count + 1."""
    preprocessing: dict[str, Any]
    """side_px, mean and std, as `imaging.preprocess.Preprocessing.to_dict` gives them."""
    weights_source: str
    """Where the first weights came from: a package, a hub, a file, or "random"."""
    metrics: dict[str, float] = field(default_factory=dict)
    """Figures of this epoch, as val_loss and val_accuracy."""
    seed: int = 0
    """Seed of the training run."""
    members: int = 1
    """Counters in it that answer as one, each of the same parts."""
    format: str = FORMAT
    """Name and version of this file's format."""

    def __post_init__(self) -> None:
        check(self)


def check(checkpoint: Checkpoint) -> None:
    """Hold a checkpoint to its format.

    Raises:
        DataError: if it is of another format or a field is out of range.
    """
    if checkpoint.format != FORMAT:
        raise DataError(
            f"checkpoint has format {checkpoint.format!r}, this version reads {FORMAT}; train again"
        )
    if checkpoint.max_count < 1:
        raise DataError(f"checkpoint has max_count {checkpoint.max_count}, expected 1 or more")
    missing = {"side_px", "mean", "std"} - set(checkpoint.preprocessing)
    if missing:
        raise DataError(f"checkpoint's preprocessing lacks {', '.join(sorted(missing))}")


def write(folder: Path, checkpoint: Checkpoint) -> None:
    """Put checkpoint.json into a folder that the writer has not published yet."""
    text = json.dumps(dataclasses.asdict(checkpoint), indent=2, ensure_ascii=False)
    (folder / FILE).write_text(text + "\n", encoding="utf-8")


def read(folder: Path) -> Checkpoint:
    """The Checkpoint that `folder` describes.

    Raises:
        DataError: if checkpoint.json is missing, damaged or of another format.
    """
    path = Path(folder) / FILE
    try:
        row = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DataError(f"{folder} is not a checkpoint: it has no {FILE}; train first") from None
    except (ValueError, OSError) as err:
        raise DataError(f"{path} cannot be read ({err}); train again") from err
    if not isinstance(row, dict) or row.get("format") != FORMAT:
        found = row.get("format") if isinstance(row, dict) else type(row).__name__
        raise DataError(f"{path} has format {found!r}, this version reads {FORMAT}; train again")
    known = {f.name for f in dataclasses.fields(Checkpoint)}
    try:
        return Checkpoint(**{k: v for k, v in row.items() if k in known})
    except TypeError as err:
        raise DataError(f"{path} lacks a field ({err}); train again") from err


def best(checkpoints: Path) -> Path:
    """Folder of the best epoch among the checkpoints of a run.

    Raises:
        DataError: if there is none, or the pointer names a folder that is gone.
    """
    pointer = Path(checkpoints) / BEST
    try:
        name = pointer.read_text(encoding="utf-8").strip()
    except FileNotFoundError:
        raise DataError(f"{checkpoints} has no finished checkpoint; train first") from None
    folder = pointer.parent / name
    if not name or Path(name).name != name or not (folder / FILE).is_file():
        raise DataError(f"{pointer} names '{name}', which is not a checkpoint here; train again")
    return folder
