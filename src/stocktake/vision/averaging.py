"""Averaging: a counter whose weights are the moving average of those that training went through."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

State = dict[str, torch.Tensor]


class Averaged:
    """Exponential moving average (EMA) of a counter's state, statistics of its norms included.

    Early on it forgets faster, with min(decay, (1 + t) / (10 + t)) after t updates, as TensorFlow's
    ExponentialMovingAverage does given `num_updates`: else it would keep the random start.

    Args:
        counter: its state now is where the average begins.
        decay: share that is kept at each update, above 0 to under 1.
    """

    def __init__(self, counter: nn.Module, *, decay: float) -> None:
        if not 0 < decay < 1:
            raise ValueError(f"decay must be above 0 and under 1, got {decay}")
        self._counter = counter
        self._decay = decay
        self._updates = 0
        self._mean = _copied(counter)

    @torch.no_grad()
    def update(self) -> None:
        """Move the average towards the counter's state; whole numbers are copied."""
        kept = min(self._decay, (1 + self._updates) / (10 + self._updates))
        self._updates += 1
        now = self._counter.state_dict()
        floating = [name for name, value in now.items() if value.is_floating_point()]
        torch._foreach_lerp_(
            [self._mean[name] for name in floating], [now[name] for name in floating], 1 - kept
        )
        for name, value in now.items():
            if not value.is_floating_point():
                self._mean[name].copy_(value)

    @contextmanager
    def shown(self) -> Iterator[State]:
        """The counter with the averaged weights; gives its own, which it has again afterwards."""
        own = _copied(self._counter)
        self._counter.load_state_dict(self._mean)
        try:
            yield own
        finally:
            self._counter.load_state_dict(own)

    def state(self) -> dict[str, object]:
        """What `restore` needs to go on."""
        return {"updates": self._updates, "mean": self._mean}

    def restore(self, state: Mapping[str, object]) -> None:
        """Go on from a `state`."""
        updates, mean = state["updates"], state["mean"]
        assert isinstance(updates, int) and isinstance(mean, Mapping)
        self._updates = updates
        for name, value in mean.items():
            self._mean[name].copy_(value)


def _copied(counter: nn.Module) -> State:
    return {name: value.detach().clone() for name, value in counter.state_dict().items()}
