"""Fitting: the training loop, in view. Read `fit`; everything else here serves it."""

from collections.abc import Callable, Iterable, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, field
from time import perf_counter
from typing import Any, Protocol

import torch
from torch import nn
from torch.optim import Optimizer

from stocktake.vision.averaging import Averaged
from stocktake.vision.batches import Feed
from stocktake.vision.losses import Loss
from stocktake.vision.schedules import Schedule
from stocktake.vision.steps import check_finite, parts_of, seed_step, set_rates, taken
from stocktake.vision.tally import Tally
from stocktake.vision.world import World


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
class Midway:
    """Where an epoch stands."""

    epoch: int
    """Counted from 1."""
    batches: int = 0
    """Batches of it that were trained on."""
    seconds: float = 0.0
    """What they took."""
    wait_s: float = 0.0
    """Part of it in which the model waited for photos."""
    tally: dict[str, float] = field(default_factory=dict)
    """What they brought, this process's part."""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """How to train."""

    loss: Loss
    optimizer: Optimizer
    schedule: Schedule
    epochs: int
    """At most."""
    patience: int = 0
    """Epochs without a better one before stopping; 0 never stops early."""
    better_by: str = "val_loss"
    """The figure by which an epoch is better: val_loss, val_accuracy, or epoch for the last one."""
    clip_norm: float = 0.0
    """Largest norm of the whole gradient; 0 leaves it as it is."""
    accumulate: int = 1
    """Parts in which a batch goes through the model, so that less memory is needed."""
    mixup: float = 0.0
    """Alpha of mixup (Zhang et al. 2018): photos are blended in pairs; 0 for none."""
    averaged: Averaged | None = None
    """The average of the weights, which is then what is judged and kept."""
    seed: int = 0
    """Of dropout, stochastic depth and mixup; the batches have their own."""
    world: World = field(default_factory=World)
    """Where to compute, and with whom."""
    done: Sequence[Figures] = ()
    """Epochs of an earlier attempt; counter and optimizer are as the last of them left them."""
    midway: Midway | None = None
    """Where the earlier attempt stood in the next epoch."""
    save_every_s: float = 0.0
    """Seconds between checkpoints within an epoch; 0 for none."""
    should_stop: Callable[[], bool] = lambda: False
    """Asked after each step; once it says yes, the step is saved and training ends."""
    is_enough: Callable[[], bool] = lambda: False
    """Asked before each epoch; once it says yes, training ends as by patience: the best is kept."""


class Save(Protocol):
    """Keeps checkpoints."""

    def epoch(self, figures: Figures, is_best: bool, trainer: dict[str, Any]) -> None:
        """An epoch is over; the counter has the weights to keep."""

    def midway(self, epochs: int, step: int, trainer: dict[str, Any]) -> None:
        """In the middle of an epoch, `epochs` are over; the counter has its own weights."""


def fit(
    counter: nn.Module,
    plan: Plan,
    *,
    train: Feed,
    val: Feed,
    save: Save,
    watchers: Iterable[Watcher] = (),
) -> list[Figures]:
    """The figures of every epoch; the counter is left as the last epoch had it.

    The same seed on the same machine with the same number of threads gives the same weights, also
    where an earlier attempt had done some of the steps: no step depends on how it was reached.

    Args:
        counter: photos (B, 3, S, S) -> log_probs (B, K).
        plan: loss, optimizer, schedule and limits.
        train: batches to learn from; counts are within 0..K-1.
        val: batches to judge by; counts beyond K-1 are allowed and always wrong.
        save: keeps the weights.
        watchers: observers.

    Raises:
        DataError: if the loss is not a finite number, naming step and photos, or a photo is broken.
        KeyboardInterrupt: if `plan.should_stop` said so; all is saved.
    """
    watch, world = _Watchers(watchers), plan.world
    steps = plan.epochs * len(train)
    history = list(plan.done)
    model = world.shared(counter)
    watch.start(counter, plan.optimizer, steps)
    try:
        with torch.random.fork_rng(devices=[]):
            for epoch in range(len(history) + 1, plan.epochs + 1):
                if _is_enough(plan, history):
                    break

                # train
                counter.train()
                clock = _Clock(_begun(plan.midway, epoch), every_s=plan.save_every_s)
                tally = Tally(clock.past.tally if world.rank == 0 else None)
                start = clock.past.batches
                step = (epoch - 1) * len(train) + start
                watch.phase(step, "data")
                for index, batch in enumerate(train.epoch(epoch, start=start), start=start + 1):
                    clock.has_photos()
                    set_rates(plan.optimizer, plan.schedule(step, steps))
                    seed_step(plan.seed, step, world.rank)
                    plan.optimizer.zero_grad(set_to_none=True)
                    step_loss = 0.0
                    for part, weight in parts_of(batch, plan.accumulate):
                        watch.phase(step, "forward")
                        log_probs, loss = taken(model, plan.loss, part, world, plan.mixup)
                        check_finite(loss, step, batch)

                        watch.phase(step, "backward")
                        (loss * weight).backward()
                        value = loss.item()
                        tally.add(log_probs, world.moved(part.counts), value)
                        step_loss += value * weight

                    watch.phase(step, "update")
                    if plan.clip_norm:
                        nn.utils.clip_grad_norm_(counter.parameters(), plan.clip_norm)
                    plan.optimizer.step()
                    if plan.averaged:
                        plan.averaged.update()

                    watch.step_end(step, step_loss)
                    step += 1
                    stops = world.agrees_on(plan.should_stop())
                    if stops or world.agrees_on(clock.is_time_to_save()):
                        past = clock.midway(epoch, index, tally.over(world))
                        save.midway(len(history), step, _state(plan, history, past))
                    if stops:
                        raise KeyboardInterrupt
                    clock.wants_photos()
                    watch.phase(step, "data")

                # validate
                watch.phase(step, "validate")
                with plan.averaged.shown() if plan.averaged else nullcontext() as own:
                    judged = assess(counter, plan.loss, val, world)
                    figures = _figures(epoch, step, clock, tally.over(world), judged)

                    # save, report
                    is_best = _is_better(figures, history, plan.better_by)
                    history.append(figures)
                    save.epoch(figures, is_best, _state(plan, history) | {"own": own})
                watch.epoch_end(figures)
    finally:
        watch.stop()
    return history


def waited(history: Sequence[Figures], better_by: str = "val_loss") -> int:
    """Epochs since the best one."""
    return len(history) - 1 - history.index(best_of(history, better_by)) if history else 0


def best_of(history: Sequence[Figures], better_by: str = "val_loss") -> Figures:
    """The best epoch by that figure, of equals the first."""
    sign = 1 if better_by == "val_loss" else -1
    return min(history, key=lambda figures: sign * getattr(figures, better_by))


@torch.inference_mode()
def assess(counter: nn.Module, loss: Loss, batches: Feed, world: World | None = None) -> Tally:
    """Mean loss and accuracy of the counter on these batches, in evaluation mode.

    Raises:
        DataError: if the model says something that is not a number, naming a photo.
    """
    world = world or World()
    counter.eval()
    tally = Tally()
    for batch in batches.epoch(0):
        with world.autocast():
            log_probs = counter(world.moved(batch.photos)).float()
        counts = world.moved(batch.counts)
        sayable = counts < log_probs.shape[1]  # (B,)
        weight = int(sayable.sum())
        value = loss(log_probs[sayable], counts[sayable]) if weight else torch.zeros(())
        check_finite(value, None, batch)
        tally.add(log_probs, counts, value.item(), weight=weight)
    return tally.over(world)


def _is_enough(plan: Plan, history: Sequence[Figures]) -> bool:
    is_worn_out = plan.patience and waited(history, plan.better_by) >= plan.patience
    return bool(is_worn_out) or plan.world.agrees_on(plan.is_enough())


def _is_better(figures: Figures, history: Sequence[Figures], better_by: str) -> bool:
    return best_of([*history, figures], better_by) is figures


def _begun(midway: Midway | None, epoch: int) -> Midway:
    return midway if midway and midway.epoch == epoch else Midway(epoch=epoch)


def _state(plan: Plan, history: Sequence[Figures], midway: Midway | None = None) -> dict[str, Any]:
    """What a later attempt needs to go on, as plain data and tensors."""
    return {
        "history": [asdict(one) for one in history],
        "midway": asdict(midway) if midway else None,
        "optimizer": plan.optimizer.state_dict(),
        "averaged": plan.averaged.state() if plan.averaged else None,
    }


def _figures(epoch: int, step: int, clock: "_Clock", tally: Tally, judged: Tally) -> Figures:
    return Figures(
        epoch=epoch,
        step=step,
        train_loss=tally.loss,
        train_accuracy=tally.accuracy,
        val_loss=judged.loss,
        val_accuracy=judged.accuracy,
        seconds=clock.seconds,
        wait_s=clock.wait_s,
        photos_per_s=tally.photos / max(clock.seconds, 1e-9),
    )


class _Clock:
    """Time of an epoch, with what an earlier attempt took."""

    def __init__(self, past: Midway, *, every_s: float) -> None:
        self.past = past
        self.wait_s = past.wait_s
        self._every_s = every_s
        self._began = self._ready = self._saved = perf_counter()
        self._ended = self._began

    def has_photos(self) -> None:
        self.wait_s += perf_counter() - self._ready

    def wants_photos(self) -> None:
        self._ready = self._ended = perf_counter()

    def is_time_to_save(self) -> bool:
        return bool(self._every_s) and perf_counter() - self._saved >= self._every_s

    def midway(self, epoch: int, batches: int, tally: Tally) -> Midway:
        """Where the epoch stands; the next save within it counts from now."""
        self._saved = self._ended = perf_counter()
        return Midway(
            epoch=epoch,
            batches=batches,
            seconds=self.seconds,
            wait_s=self.wait_s,
            tally=tally.state(),
        )

    @property
    def seconds(self) -> float:
        return self.past.seconds + self._ended - self._began


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
