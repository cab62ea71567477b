"""Checkpoints: a counter on disk and back; each is written whole, last and best are kept."""

import pickle
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import nn

from stocktake.errors import DataError
from stocktake.schema import checkpoints as schema
from stocktake.schema.checkpoints import Checkpoint
from stocktake.vision.counter import Counter, Ensemble, make_backbone, make_counter

TRAINER = "trainer.pt"
"""State of optimizer and loop, for going on; only the last checkpoint has it."""

_BROKEN = (OSError, SafetensorError, RuntimeError, EOFError, ValueError, pickle.UnpicklingError)
"""What reading a damaged checkpoint raises."""

best = schema.best
describe = schema.read


class Keeper:
    """Writes checkpoints of one training run into a folder; keeps the last and the best.

    Args:
        folder: becomes `epoch-0001/` and so on, `step-00000042/` in the middle of an epoch, and
            the text file `best`.
        goes_on: whether an earlier attempt goes on; else what was left there is removed.
        best: the best epoch of the earlier attempt, None if it finished none.
    """

    def __init__(self, folder: Path, *, goes_on: bool = False, best: int | None = None) -> None:
        self.folder = folder
        if not goes_on:
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir(parents=True)
        elif best is not None:  # the attempt may have ended between checkpoint and pointer
            _point(folder / schema.BEST, _named(best))

    def save(
        self,
        counter: nn.Module,
        about: Checkpoint,
        *,
        trainer: Mapping[str, Any],
        is_best: bool,
    ) -> Path:
        """The new checkpoint's folder; whole as soon as it has its name, also after a kill.

        Args:
            counter: its weights are saved.
            about: what checkpoint.json says.
            trainer: plain data and tensors, for going on.
            is_best: moves the pointer `best` to this one.
        """
        name = _named(about.epoch)
        self._write(name, counter, about, trainer)
        if is_best:
            _point(self.folder / schema.BEST, name)
        self._tidy(last=name)
        return self.folder / name

    def save_midway(
        self, counter: nn.Module, about: Checkpoint, *, trainer: Mapping[str, Any]
    ) -> Path:
        """The folder of a checkpoint in the middle of an epoch; good for going on, and no more."""
        name = f"step-{about.step:08d}"
        self._write(name, counter, about, trainer)
        for folder in self.folder.glob("step-*"):
            if folder.name != name:
                shutil.rmtree(folder)
        return self.folder / name

    def _write(
        self, name: str, counter: nn.Module, about: Checkpoint, trainer: Mapping[str, Any]
    ) -> None:
        rough = self.folder / f".{name}.part"
        shutil.rmtree(rough, ignore_errors=True)
        try:
            rough.mkdir()
            state = {k: v.detach().contiguous() for k, v in counter.state_dict().items()}
            save_file(state, rough / schema.WEIGHTS)
            torch.save(dict(trainer), rough / TRAINER)
            schema.write(rough, about)
            shutil.rmtree(self.folder / name, ignore_errors=True)
            rough.replace(self.folder / name)
        except BaseException:  # Ctrl-C and a full disk too
            shutil.rmtree(rough, ignore_errors=True)
            raise

    def _tidy(self, *, last: str) -> None:
        pointer = self.folder / schema.BEST
        kept = {last, pointer.read_text().strip() if pointer.exists() else last}
        for folder in self.folder.glob("step-*"):
            shutil.rmtree(folder)
        for folder in self.folder.glob("epoch-*"):
            if folder.name not in kept:
                shutil.rmtree(folder)
            elif folder.name != last:
                (folder / TRAINER).unlink(missing_ok=True)


def resume(folder: Path, counter: Counter) -> dict[str, Any] | None:
    """What the newest checkpoint in the folder kept for going on; the counter gets its weights.

    Args:
        folder: of a Keeper; it may be missing.
        counter: made of the same parts; left as it is if the answer is None.

    Returns:
        The trainer's state, or None where there is no whole checkpoint to go on from.
    """
    found = [*Path(folder).glob("epoch-*"), *Path(folder).glob("step-*")]
    for one in sorted(found, key=_step_of, reverse=True):
        try:
            trainer = torch.load(one / TRAINER, map_location="cpu", weights_only=True)
            if "history" not in trainer:  # checkpoints from before have none
                continue
            counter.load_state_dict(trainer.pop("own", None) or load_file(one / schema.WEIGHTS))
        except _BROKEN:
            continue
        return dict(trainer)
    return None


def _step_of(folder: Path) -> int:
    try:
        return describe(folder).step
    except DataError:
        return -1


def load(folder: Path) -> Counter | Ensemble:
    """The counter of a checkpoint, or its counters that answer as one, in evaluation mode.

    Raises:
        DataError: if the checkpoint is damaged or its weights do not fit its parts.
        SettingsError: if it needs a part that is not on the shelves here.
    """
    about = describe(folder)
    members = [_untrained(about) for _ in range(about.members)]
    counter = Ensemble(members) if about.members > 1 else members[0]
    file = Path(folder) / schema.WEIGHTS
    try:
        counter.load_state_dict(load_file(file))
    except (OSError, SafetensorError, RuntimeError) as err:
        reason = str(err).strip().splitlines()[0]
        raise DataError(f"{file} cannot be loaded ({reason}); train again") from err
    counter.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return counter.eval()


def combine(ensemble: Ensemble, into: Path, *, like: Path, metrics: Mapping[str, float]) -> Path:
    """One checkpoint of several trainings of the same parts, as the best one of the folder `into`.

    Args:
        ensemble: their counters, `together`.
        into: folder of checkpoints; what is there is removed.
        like: the checkpoint of one of them, which tells the parts.
        metrics: figures of them together.
    """
    about = replace(describe(like), members=len(ensemble.members), metrics=dict(metrics))
    return Keeper(into).save(ensemble, about, trainer={}, is_best=True)


def together(folders: Sequence[Path]) -> Ensemble:
    """The counters of these checkpoints as one, in evaluation mode."""
    members = [load(folder) for folder in folders]
    return Ensemble([member for member in members if isinstance(member, Counter)]).eval()


def _untrained(about: Checkpoint) -> Counter:
    backbone = make_backbone(about.backbone, side_px=int(about.preprocessing["side_px"]))
    return make_counter(backbone, about.head, max_count=about.max_count)


def _named(epoch: int) -> str:
    return f"epoch-{epoch:04d}"


def _point(pointer: Path, name: str) -> None:
    rough = pointer.with_name(f".{pointer.name}.part")
    rough.write_text(name + "\n", encoding="utf-8")
    rough.replace(pointer)
