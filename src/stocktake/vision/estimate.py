"""Estimate: how long a training will take on this machine and what it needs, from a few steps."""

import copy
import resource
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import islice
from statistics import median
from time import perf_counter

import torch
from torch import nn

from stocktake.vision.batches import Batch, Feed
from stocktake.vision.fitting import Plan
from stocktake.vision.steps import set_rates, taken

WARM_UP = 2
"""Steps before the measured ones: the first ones set memory up."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Estimate:
    """What a training will take."""

    seconds: float
    """What is left of the training, with the validation after each epoch."""
    whole_s: float
    """The same from its beginning."""
    step_s: float
    """One training step, seconds."""
    memory_gb: float
    """Largest memory of this process so far, gigabytes; the steps measured are in it."""
    gpu_memory_gb: float
    """Largest memory taken on the GPU, gigabytes; 0 without one."""


def of(counter: nn.Module, plan: Plan, *, train: Feed, val: Feed, steps: int = 6) -> Estimate:
    """Take a few training steps and look at a few validation batches; nothing stays changed.

    A photo costs the same in every epoch, so the rest follows from the number of batches. Early
    stopping is not foreseen.

    Args:
        counter: as training will begin with it.
        plan: as training will follow it, with the epochs already done.
        train: its batches.
        val: its batches.
        steps: measured, after two to warm up; fewer where an epoch is shorter.
    """
    with _untouched(counter, plan):
        counter.train()
        begun = [_timed(counter, plan, batch) for batch in islice(train.epoch(1), WARM_UP + steps)]
        step_s = median(begun[WARM_UP:] or begun)
        counter.eval()
        with torch.inference_mode():
            looks = [_looked(counter, plan, batch) for batch in islice(val.epoch(0), 1 + steps)]
        look_s = median(looks[1:] or looks)
    epoch_s = len(train) * step_s + len(val) * look_s
    done_s = len(plan.done) * epoch_s + (plan.midway.batches * step_s if plan.midway else 0.0)
    is_gpu = plan.world.device.type == "cuda"
    return Estimate(
        seconds=plan.epochs * epoch_s - done_s,
        whole_s=plan.epochs * epoch_s,
        step_s=step_s,
        memory_gb=peak_memory_gb(),
        gpu_memory_gb=torch.cuda.max_memory_allocated() / 1e9 if is_gpu else 0.0,
    )


def peak_memory_gb() -> float:
    """Largest memory this process has had, gigabytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak * (1 if sys.platform == "darwin" else 1024) / 1e9  # bytes there, kilobytes here


@contextmanager
def _untouched(counter: nn.Module, plan: Plan) -> Iterator[None]:
    model_state = copy.deepcopy(counter.state_dict())
    trainer_state = copy.deepcopy(plan.optimizer.state_dict())
    was_training = counter.training
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            counter.load_state_dict(model_state)
            counter.train(was_training)
            counter.zero_grad(set_to_none=True)
            plan.optimizer.state.clear()
            plan.optimizer.load_state_dict(trainer_state)


def _timed(counter: nn.Module, plan: Plan, batch: Batch) -> float:
    began = perf_counter()
    set_rates(plan.optimizer, 0.0)
    plan.optimizer.zero_grad(set_to_none=True)
    _, loss = taken(counter, plan.loss, batch, plan.world, plan.mixup)
    loss.backward()
    plan.optimizer.step()
    loss.item()  # waits for a GPU
    return perf_counter() - began


def _looked(counter: nn.Module, plan: Plan, batch: Batch) -> float:
    began = perf_counter()
    with plan.world.autocast():
        counter(plan.world.moved(batch.photos)).sum().item()
    return perf_counter() - began
