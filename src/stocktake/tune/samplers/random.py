"""Random search: the yardstick for every other sampler."""

from optuna.samplers import RandomSampler

from stocktake.tune.samplers import Sampler, samplers


@samplers.add("random")
def random(*, seed: int) -> Sampler:
    """Each trial drawn by itself, evenly on the scale of each setting."""
    return RandomSampler(seed=seed)
