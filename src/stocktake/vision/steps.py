"""Steps: the small moves that a training step is made of."""

from collections.abc import Iterator

import numpy as np
import torch
from torch import nn
from torch.optim import Optimizer

from stocktake.errors import DataError
from stocktake.vision.batches import Batch
from stocktake.vision.losses import Loss
from stocktake.vision.world import World

IDS_SHOWN = 64
"""Photo ids an error names at most; a usual batch whole."""


def set_rates(optimizer: Optimizer, factor: float) -> None:
    """Set every group's learning rate: its own, times its `lr_scale`, times the factor."""
    for group in optimizer.param_groups:
        full = group.setdefault("initial_lr", group["lr"] * group.get("lr_scale", 1.0))
        group["lr"] = full * factor


def seed_step(seed: int, step: int, rank: int = 0) -> None:
    """Set torch's random state to one that follows from these alone; neighbours share nothing."""
    torch.manual_seed(int(np.random.SeedSequence([seed, step, rank]).generate_state(1)[0]))


def parts_of(batch: Batch, parts: int) -> Iterator[tuple[Batch, float]]:
    """The batch in that many parts, none of them empty, each with its share of the photos."""
    size = len(batch.counts)
    if parts <= 1 or size <= 1:
        yield batch, 1.0
        return
    for places in np.array_split(np.arange(size), min(parts, size)):
        part = slice(int(places[0]), int(places[-1]) + 1)
        ids = batch.photo_ids[part]
        yield Batch(ids, batch.photos[part], batch.counts[part]), len(places) / size


def taken(
    model: nn.Module, loss: Loss, batch: Batch, world: World, mixup: float = 0.0
) -> tuple[torch.Tensor, torch.Tensor]:
    """(log_probs (B, K), mean loss) of a batch, for the gradient.

    Args:
        model: photos (B, 3, S, S) -> log_probs (B, K).
        loss: takes (log_probs, counts).
        batch: photos and counts.
        world: where to compute.
        mixup: alpha of the Beta distribution that the share of the blend is drawn from; each photo
            is blended with another of the batch, and the loss is the same blend of both counts'.
    """
    photos, counts = world.moved(batch.photos), world.moved(batch.counts)
    if not mixup:
        with world.autocast():
            log_probs = model(photos).float()
        return log_probs, loss(log_probs, counts)
    share = float(torch.distributions.Beta(mixup, mixup).sample())
    partner = torch.randperm(len(counts)).to(counts.device)
    with world.autocast():
        log_probs = model(torch.lerp(photos[partner], photos, share)).float()
    return log_probs, share * loss(log_probs, counts) + (1 - share) * loss(
        log_probs, counts[partner]
    )


def check_finite(loss: torch.Tensor, step: int | None, batch: Batch) -> None:
    """Hold a loss to be a number.

    Args:
        loss: a scalar.
        step: of training; None in validation.
        batch: what it is the loss of.

    Raises:
        DataError: naming the step and the photos.
    """
    if torch.isfinite(loss):
        return
    if step is None:
        raise DataError(
            f"validation loss is {loss.item()} in the batch of photo {batch.photo_ids[0]};"
            " lower the learning rate"
        )
    shown = ", ".join(batch.photo_ids[:IDS_SHOWN])
    rest = len(batch.photo_ids) - IDS_SHOWN
    raise DataError(
        f"loss is {loss.item()} at step {step} with the photos {shown}"
        f"{f' and {rest} more' if rest > 0 else ''}; the best checkpoint so far is kept:"
        " lower the learning rate, set clip_norm, or look at these photos"
    )
