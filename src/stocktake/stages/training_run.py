"""Training run: what a training leaves in its run folder: checkpoints, metrics, progress."""

from collections.abc import Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from stocktake.runs.folder import RunFolder

if TYPE_CHECKING:
    from torch import nn
    from torch.optim import Optimizer

    from stocktake.schema.checkpoints import Checkpoint
    from stocktake.stages.trainer import Ready
    from stocktake.vision.fitting import Figures


class Saver:
    """Keeps the checkpoints of a training; of several processes the first one does."""

    def __init__(self, ready: "Ready") -> None:
        from stocktake.vision.checkpoints import Keeper
        from stocktake.vision.fitting import best_of

        self._settings, self._ready = ready.settings, ready
        done: Sequence[Figures] = ready.plan.done
        self._keeper = (
            Keeper(
                ready.folder,
                goes_on=bool(done or ready.plan.midway),
                best=best_of(done, ready.settings.better_by).epoch if done else None,
            )
            if ready.plan.world.rank == 0
            else None
        )

    def epoch(self, figures: "Figures", is_best: bool, trainer: dict[str, Any]) -> None:
        """Keep a finished epoch."""
        if self._keeper:
            metrics = {"val_loss": figures.val_loss, "val_accuracy": figures.val_accuracy}
            about = self._about(figures.epoch, figures.step, metrics)
            self._keeper.save(self._ready.counter, about, trainer=trainer, is_best=is_best)

    def midway(self, epochs: int, step: int, trainer: dict[str, Any]) -> None:
        """Keep what it takes to go on in the middle of an epoch."""
        if self._keeper:
            about = self._about(epochs, step, {})
            self._keeper.save_midway(self._ready.counter, about, trainer=trainer)

    def _about(self, epoch: int, step: int, metrics: dict[str, float]) -> "Checkpoint":
        from stocktake.schema.checkpoints import Checkpoint
        from stocktake.vision.counter import preprocessing_of

        return Checkpoint(
            epoch=epoch,
            step=step,
            backbone=self._settings.backbone,
            head=self._settings.head,
            max_count=self._ready.max_count,
            preprocessing=preprocessing_of(self._ready.backbone).to_dict(),
            weights_source=self._ready.source,
            metrics=metrics,
            seed=self._settings.seed,
        )


class Reporter:
    """Watcher that tells the run folder.

    Args:
        run: is told.
        member: of several trainings, counted from 0; the names of the others' metrics have their
            number behind them, as in val_loss.2.
        members: trainings in all.
    """

    def __init__(self, run: RunFolder, *, member: int = 0, members: int = 1) -> None:
        self._run = run
        self._member, self._members = member, members
        self._steps = 0

    def start(self, counter: "nn.Module", optimizer: "Optimizer", steps: int) -> None:
        """Training begins."""
        self._steps = steps

    def phase(self, step: int, name: str) -> None:
        """Nothing is told of phases."""

    def step_end(self, step: int, loss: float) -> None:
        """Say how far it is."""
        done = self._member * self._steps + step + 1
        self._run.progress(done, self._members * self._steps, "steps")

    def epoch_end(self, figures: "Figures") -> None:
        """Say what the epoch brought."""
        values = asdict(figures)
        epoch, _ = values.pop("epoch"), values.pop("step")
        behind = f".{self._member + 1}" if self._member else ""
        self._run.metric(epoch, **{f"{name}{behind}": value for name, value in values.items()})

    def stop(self) -> None:
        """Nothing is told of the end."""
