"""Train a counter on a folder of photos; the report's entry point over the stages of the house.

By hand:       python scripts/train.py --data bucket --model-dir model --epochs 3
On SageMaker:  entry_point="train.py"; the channel `training` holds bin-images/ and metadata/.

The model folder gets a bundle (see scripts/inference.py) and the checkpoint it came from. Each
epoch prints a line for metric definitions: `validation loss: ([-+0-9.eE]+)`.
"""

import argparse
import os
import shutil
import sys
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from stocktake.errors import SettingsError, StocktakeError, from_os
from stocktake.runs import settings as reader
from stocktake.runs.folder import RunFolder
from stocktake.runs.job import Job
from stocktake.stages import table
from stocktake.stages.worker import run_job

STAGES = ("ingest", "split", "train", "score", "evaluate", "export")
FLAGS = {
    "backbone": (str, "backbone from the shelf, or any timm model"),
    "weights": (str, "what the backbone starts from: pretrained, none, or a weights file"),
    "head": (str, "head from the shelf"),
    "loss": (str, "loss from the shelf"),
    "epochs": (int, "times through the train fold"),
    "batch-size": (int, "photos per step"),
    "side-px": (int, "side of the squared photos; 0 for the backbone's own"),
    "max-count": (int, "largest count the model can say; 0 for the largest in the train fold"),
    "seed": (int, "seed of everything random in training"),
}
"""Hyperparameters of the train stage that have a flag; --set reaches all the others."""


def parser(about: str) -> argparse.ArgumentParser:
    """Flags of a training script; what is not given takes the train stage's default."""
    made = argparse.ArgumentParser(description=about)
    for name, (kind, text) in FLAGS.items():
        made.add_argument(f"--{name}", type=kind, help=text)
    made.add_argument("--optimizer", default="adamw", help="optimizer from the shelf")
    made.add_argument("--lr", type=float, help="learning rate")
    made.add_argument(
        "--data",
        default=os.environ.get("SM_CHANNEL_TRAINING"),
        help="folder with bin-images/ and metadata/, or a finished ingest run",
    )
    made.add_argument(
        "--model-dir", default=os.environ.get("SM_MODEL_DIR", "model"), help="where the model goes"
    )
    made.add_argument("--work-dir", help="keep the run folders here; otherwise they are temporary")
    made.add_argument(
        "--set",
        dest="sets",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="set any setting of any stage, as in split.test_frac=0.1; may be repeated",
    )
    return made


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """A table per stage from the flags, with --set over them."""
    names = {flag.replace("-", "_") for flag in FLAGS}
    train = {name: getattr(args, name) for name in names if getattr(args, name) is not None}
    if args.lr is not None:
        train["optimizer"] = {"name": args.optimizer, "lr": args.lr}
    elif args.optimizer != "adamw":
        train["optimizer"] = args.optimizer
    return reader.merge({"train": train}, reader.parse_set(args.sets))


def walk(args: argparse.Namespace, folder: Path, *, last: str) -> dict[str, RunFolder]:
    """The finished runs from photos to the stage `last`, by stage, made in `folder`."""
    if not args.data:
        raise SettingsError(
            "no photos: give --data FOLDER, or set SM_CHANNEL_TRAINING as SageMaker does"
        )
    tables = settings_of(args)
    data = Path(args.data)
    made: dict[str, RunFolder] = {}
    if (data / "run.json").exists():
        made["ingest"] = RunFolder.open(data)
    else:
        tables = reader.merge({"ingest": {"source": str(data)}}, tables)
    for name in STAGES[: STAGES.index(last) + 1]:
        if name in made:
            continue
        takes = {thing: made[table.giver(thing).name] for thing in table.find(name).takes}
        inputs = {thing: str(run.path) for thing, run in takes.items()}
        output = folder / name
        job = Job(stage=name, settings=tables.get(name, {}), inputs=inputs, output=str(output))
        narrator = Narrator(RunFolder(output))
        made[name] = run_job(job, listener=lambda *_, tell=narrator.tell: tell())
        narrator.tell()
        print(f"{name} done", flush=True)
    return made


class Narrator:
    """Prints a line per finished epoch while a run grows."""

    def __init__(self, run: RunFolder) -> None:
        self._file = run.path / "metrics.jsonl"
        self._run = run
        self._size = 0
        self._told = 0

    def tell(self) -> None:
        """Print the epochs that were not yet told."""
        size = self._file.stat().st_size if self._file.exists() else 0
        if size == self._size:
            return
        self._size = size
        epochs: dict[int, dict[str, float]] = {}
        for row in self._run.metrics():
            epochs.setdefault(row["step"], {})[row["name"]] = row["value"]
        for epoch, values in epochs.items():
            if epoch > self._told and values.keys() >= {"train_loss", "val_loss", "val_accuracy"}:
                self._told = epoch
                print(
                    f"epoch {epoch}: training loss: {values['train_loss']:.6g};"
                    f" validation loss: {values['val_loss']:.6g};"
                    f" validation accuracy: {values['val_accuracy']:.6g}",
                    flush=True,
                )


def keep_checkpoint(train: RunFolder, model_dir: Path) -> None:
    """Copy the best epoch's checkpoint into the model folder."""
    from stocktake.schema import checkpoints

    best = checkpoints.best(train.artifact("checkpoints"))
    shutil.rmtree(model_dir / "checkpoint", ignore_errors=True)
    shutil.copytree(best, model_dir / "checkpoint", ignore=shutil.ignore_patterns("trainer.pt"))


def main() -> None:
    """Photos to a served model: ingest, split, train, score, evaluate, export."""
    args = parser("Train a counter and export it as a bundle.").parse_args()
    model_dir = Path(args.model_dir)
    with work_folder(args.work_dir) as folder:
        made = walk(args, Path(folder), last="export")
        model_dir.mkdir(parents=True, exist_ok=True)
        shutil.copytree(made["export"].artifact("bundle"), model_dir, dirs_exist_ok=True)
        keep_checkpoint(made["train"], model_dir)
        for name, value in made["evaluate"].result().items():
            if isinstance(value, int | float):
                print(f"test {name.replace('_', ' ')}: {value:.6g}")
        print(f"model: {model_dir}")


def work_folder(named: str | None) -> AbstractContextManager[str]:
    """A folder for run folders: the one named, or one that goes at the end."""
    return nullcontext(named) if named else tempfile.TemporaryDirectory(prefix="stocktake-")


def ends(call: Callable[[], None]) -> int:
    """The exit code of a call; a failure of ours is one line on stderr."""
    try:
        call()
    except StocktakeError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    except OSError as err:
        print(f"error: {from_os(err)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(ends(main))
