"""One trial of a search: train with the given hyperparameters, print the validation loss.

SageMaker's tuner calls this once per trial; its metric definition is
{"Name": "validation:loss", "Regex": "validation loss: ([-+0-9.eE]+)"}. Flags as scripts/train.py.
A whole search on this machine is `stocktake tune`.
"""

import sys
from pathlib import Path

from train import ends, keep_checkpoint, parser, walk, work_folder


def main() -> None:
    """Photos to a checkpoint: ingest, split, train."""
    args = parser("Train one trial of a search; prints its validation loss.").parse_args()
    model_dir = Path(args.model_dir)
    with work_folder(args.work_dir) as folder:
        made = walk(args, Path(folder), last="train")
        model_dir.mkdir(parents=True, exist_ok=True)
        keep_checkpoint(made["train"], model_dir)
        result = made["train"].result()
        # last, since a tuner takes the last value of its metric: the epoch whose weights are kept
        print(
            f"best epoch {result['best_epoch']}: validation loss: {result['val_loss']:.6g};"
            f" validation accuracy: {result['val_accuracy']:.6g}"
        )


if __name__ == "__main__":
    sys.exit(ends(main))
