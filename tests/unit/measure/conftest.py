"""Made-up scores whose honesty is known: true counts are drawn from a softened distribution."""

from collections.abc import Callable

import numpy as np
import pytest

from stocktake.measure.calibration import with_temperature
from stocktake.measure.scorecard import Fold


def drawn(name: str, n: int, *, seed: int, max_count: int = 5, heat: float = 2.0) -> Fold:
    """A fold whose log_probs are too sure: honest once divided by `heat`; siblings in pairs."""
    rng = np.random.default_rng(seed)
    counts = max_count + 1
    centres = rng.uniform(0, max_count, n)
    logits = -1.5 * np.abs(np.arange(counts) - centres[:, None]) + rng.normal(size=(n, counts))
    log_probs = with_temperature(heat * logits, 1.0)
    chances = np.exp(with_temperature(log_probs, heat)).cumsum(axis=1)
    truth = (rng.uniform(size=(n, 1)) > chances).sum(axis=1).clip(max=max_count)
    groups = np.array([f"{place // 2:05d}" for place in range(n)], dtype=object)
    return Fold(name=name, log_probs=log_probs.astype(np.float32), counts=truth, groups=groups)


@pytest.fixture
def fold_of() -> Callable[..., Fold]:
    """Makes folds of drawn scores."""
    return drawn
