"""Gaussian process with expected improvement: the most from few trials.

Optuna's `GPSampler` (Matern 5/2, log expected improvement; Ament et al. 2023, arXiv:2310.20708).
"""

from optuna.samplers import GPSampler

from stocktake.tune.samplers import Sampler, samplers


@samplers.add("gp")
def gp(*, seed: int, startup: int = 3) -> Sampler:
    """Gaussian process; after `startup` random trials it learns from all before.

    Optuna starts up with 10: a search of five trials would be random to its end.
    """
    if startup < 1:
        raise ValueError(f"startup must be 1 or more, got {startup}")
    return GPSampler(seed=seed, n_startup_trials=startup, warn_independent_sampling=False)
