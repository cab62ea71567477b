"""Fitting: the training loop, in view. Read `fit`; everything else here serves it."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from time import perf_counter
from typing import Any, Protocol

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from stocktake.errors import DataError
from stocktake.vision.batches import Batch, Batches
from stocktake.vision.losses import Loss
from stocktake.vision.schedules import Schedule

IDS_SHOWN = 64
"""Photo ids an error names at most; a usual batch whole."""


class Watcher(Protocol):
    """Sees training as it happens, and must not change it. Steps count from 0, epochs from 1."""

    def start(self, counter: nn.Module, optimizer: Optimizer, steps: int) -> None:
        """Training is about to begin and takes at most `steps` steps."""

    def phase(self, step: int, name: str) -> None:
        """A phase begins: data, forward, backward or update; validate after the epoch."""

    def step_end(self, step: int, loss: float) -> None:
        """The weights have been updated; gradients are still there."""

    def epoch_end(self, figures: "Figures") -> None:
        """The epoch was validated and saved."""

    def stop(self) -> None:
        """Training is over, also when by an error."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Figures:
    """What an epoch brought."""

    epoch: int
    """Counted from 1."""
    step: int
    """Steps taken so far."""
    train_loss: float
    """Mean over the epoch's photos, as they were augmented."""
    train_accuracy: float
    """Share of the epoch's photos whose likeliest count was the true one, 0 to 1."""
    val_loss: float
    """Mean over validation photos whose count the model can say."""
    val_accuracy: float
    """Share of all validation photos whose likeliest count was the true one, 0 to 1."""
    seconds: float
    """Of training, without validation."""
    wait_s: float
    """Part of `seconds` in which the model waited for photos."""
    photos_per_s: float
    """Training photos a second."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train."""

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    """At most."""
    patience: int = 0
    """Epochs without a better validation loss before stopping; 0 never stops early."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient; 0 leaves it as it is."""
    seed: int = 0
    """Of dropout and stochastic depth; the batches have their own."""
    done: Sequence[Figures] = ()
    """Epochs of an earlier attempt; counter and optimizer are as the last of them left them."""


Save = Callable[[Figures, bool, dict[str, Any]], None]
"""Told the epoch's figures, whether it is the best so far, and the trainer's state."""


def fit(
    counter: nn.Module,
    plan: Plan,
    *,
    train: Batches,
    val: Batches,
    save: Save,
    watchers: Iterable[Watcher] = (),
) -> list[Figures]:
    """The figures of every epoch; the counter is left as the last epoch had it.

    The same seed on the same machine with the same number of threads gives the same weights, also
    where an earlier attempt had done some of the epochs: no epoch depends on how it was reached.

    Args:
        counter: photos (B, 3, S, S) -> log_probs (B, K).
        plan: loss, optimizer, schedule and limits.
        train: batches to learn from; counts are within 0..K-1.
        val: batches to judge by; counts beyond K-1 are allowed and always wrong.
        save: keeps the epoch's weights.
        watchers: observers.

    Raises:
        DataError: if the loss is not a finite number, naming step and photos, or a photo is broken.
    """
    watch = _Watchers(watchers)
    steps = plan.epochs * len(train)
    history = list(plan.done)
    watch.start(counter, plan.optimizer, steps)
    try:
        with torch.random.fork_rng(devices=[]):
            for epoch in range(len(history) + 1, plan.epochs + 1):
                if plan.patience and waited(history) >= plan.patience:
                    break

                # train
                torch.manual_seed(_mixed(plan.seed, epoch))
                counter.train()
                tally, wait_s, began = _Tally(), 0.0, perf_counter()
                step, ready = (epoch - 1) * len(train), began
                watch.phase(step, "data")
                for batch in train.epoch(epoch):
                    wait_s += perf_counter() - ready
                    set_rates(plan.optimizer, plan.schedule(step, steps))

                    watch.phase(step, "forward")
                    log_probs = counter(batch.photos)  # (B, K)
                    loss = plan.loss(log_probs, batch.counts)
                    _check_finite(loss, step, batch)

                    watch.phase(step, "backward")
                    plan.optimizer.zero_grad(set_to_none=True)
                    loss.backward()

                    watch.phase(step, "update")
                    if plan.clip_norm:
                        nn.utils.clip_grad_norm_(counter.parameters(), plan.clip_norm)
                    plan.optimizer.step()

                    tally.add(log_probs, batch.counts, loss.item())
                    watch.step_end(step, loss.item())
                    step, ready = step + 1, perf_counter()
                    watch.phase(step, "data")
                seconds = perf_counter() - began

                # validate
                watch.phase(step, "validate")
                judged = assess(counter, plan.loss, val)
                figures = Figures(
                    epoch=epoch,
                    step=step,
                    train_loss=tally.loss,
                    train_accuracy=tally.accuracy,
                    val_loss=judged.loss,
                    val_accuracy=judged.accuracy,
                    seconds=seconds,
                    wait_s=wait_s,
                    photos_per_s=tally.photos / seconds,
                )

                # save, report
                is_best = all(figures.val_loss < before.val_loss for before in history)
                history.append(figures)
                past = {"history": [asdict(one) for one in history]}
                save(figures, is_best, {**past, "optimizer": plan.optimizer.state_dict()})
                watch.epoch_end(figures)
    finally:
        watch.stop()
    return history


def waited(history: Sequence[Figures]) -> int:
    """Epochs since the best validation loss; of equals the first is the best."""
    losses = [figures.val_loss for figures in history]
    return len(losses) - 1 - losses.index(min(losses)) if losses else 0


@torch.inference_mode()
def assess(counter: nn.Module, loss: Loss, batches: Batches) -> "_Tally":
    """Mean loss and accuracy of the counter on these batches, in evaluation mode.

    Raises:
        DataError: if the model says something that is not a number, naming a photo.
    """
    counter.eval()
    tally = _Tally()
    for batch in batches.epoch(0):
        log_probs = counter(batch.photos)
        sayable = batch.counts < log_probs.shape[1]  # (B,)
        if not sayable.any():
            tally.add(log_probs, batch.counts, 0.0, weight=0)
            continue
        value = loss(log_probs[sayable], batch.counts[sayable])
        if not torch.isfinite(value):
            raise DataError(
                f"validation loss is {value.item()} in the batch of photo {batch.photo_ids[0]};"
                " lower the learning rate"
            )
        tally.add(log_probs, batch.counts, value.item(), weight=int(sayable.sum()))
    return tally


def set_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate: its own, times its `lr_scale`, times the factor."""
    for group in optimizer.param_groups:
        full = group.setdefault("initial_lr", group["lr"] * group.get("lr_scale", 1.0))
        group["lr"] = full * factor


class _Tally:
    """Sums over batches, so that means do not depend on the batch size."""

    def __init__(self) -> None:
        self.photos = self.weighed = self._right = 0
        self._loss = 0.0

    def add(
        self, log_probs: torch.Tensor, counts: torch.Tensor, loss: float, weight: int | None = None
    ) -> None:
        weight = len(counts) if weight is None else weight
        self.photos += len(counts)
        self.weighed += weight
        self._loss += loss * weight
        self._right += int((log_probs.detach().argmax(dim=1) == counts).sum())

    @property
    def loss(self) -> float:
        return self._loss / self.weighed if self.weighed else math.inf

    @property
    def accuracy(self) -> float:
        return self._right / self.photos


class _Watchers:
    """Several watchers as one."""

    def __init__(self, watchers: Iterable[Watcher]) -> None:
        self._all = tuple(watchers)

    def start(self, counter: nn.Module, optimizer: Optimizer, steps: int) -> None:
        for watcher in self._all:
            watcher.start(counter, optimizer, steps)

    def phase(self, step: int, name: str) -> None:
        for watcher in self._all:
            watcher.phase(step, name)

    def step_end(self, step: int, loss: float) -> None:
        for watcher in self._all:
            watcher.step_end(step, loss)

    def epoch_end(self, figures: Figures) -> None:
        for watcher in self._all:
            watcher.epoch_end(figures)

    def stop(self) -> None:
        for watcher in self._all:
            watcher.stop()


def _check_finite(loss: torch.Tensor, step: int, batch: Batch) -> None:
    if torch.isfinite(loss):
        return
    shown = ", ".join(batch.photo_ids[:IDS_SHOWN])
    rest = len(batch.photo_ids) - IDS_SHOWN
    raise DataError(
        f"loss is {loss.item()} at step {step} with the photos {shown}"
        f"{f' and {rest} more' if rest > 0 else ''}; the best checkpoint so far is kept:"
        " lower the learning rate, set clip_norm, or look at these photos"
    )


def _mixed(seed: int, epoch: int) -> int:
    """One seed from two, so that neighbouring seeds and epochs share nothing."""
    return int(np.random.SeedSequence([seed, epoch]).generate_state(1)[0])
