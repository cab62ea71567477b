"""Tree of Parzen estimators (Bergstra et al. 2011): cheap, copes with many choices."""

from optuna.samplers import TPESampler

from stocktake.tune.samplers import Sampler, samplers


@samplers.add("tpe")
def tpe(*, seed: int, startup: int = 5) -> Sampler:
    """Tree of Parzen estimators; after `startup` random trials it learns from all before."""
    if startup < 1:
        raise ValueError(f"startup must be 1 or more, got {startup}")
    return TPESampler(seed=seed, n_startup_trials=startup)
