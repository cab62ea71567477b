"""Tally: sums over batches, so that means do not depend on the batch size, nor on who summed."""

import math
from collections.abc import Mapping

import torch

from stocktake.vision.world import World

_SUMS = ("photos", "weighed", "right", "loss")


class Tally:
    """Sums of loss and right answers.

    Args:
        state: sums so far, as `state` gives them.
    """

    def __init__(self, state: Mapping[str, float] | None = None) -> None:
        self._sums = dict.fromkeys(_SUMS, 0.0) | dict(state or {})

    def add(
        self, log_probs: torch.Tensor, counts: torch.Tensor, loss: float, weight: int | None = None
    ) -> None:
        """Add a batch: log_probs (B, K), true counts (B,), the mean loss over `weight` photos."""
        weight = len(counts) if weight is None else weight
        self._sums["photos"] += len(counts)
        self._sums["weighed"] += weight
        self._sums["loss"] += loss * weight
        self._sums["right"] += int((log_probs.detach().argmax(dim=1) == counts).sum())

    def over(self, world: World) -> "Tally":
        """The sums of all processes together."""
        return Tally(dict(zip(_SUMS, world.summed(*self.state().values()), strict=True)))

    def state(self) -> dict[str, float]:
        """The sums, as plain numbers."""
        return {name: self._sums[name] for name in _SUMS}

    @property
    def photos(self) -> int:
        """Photos added."""
        return int(self._sums["photos"])

    @property
    def loss(self) -> float:
        """Mean over the photos that were weighed; infinite if there is none."""
        weighed = self._sums["weighed"]
        return self._sums["loss"] / weighed if weighed else math.inf

    @property
    def accuracy(self) -> float:
        """Share of photos whose likeliest count was the true one, 0 to 1."""
        return self._sums["right"] / self._sums["photos"]
