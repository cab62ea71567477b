"""Samplers: a space and the trials so far -> settings to try next. One file each.

A part is a function `(*, seed, ...options) -> Sampler`. The study makes it anew for every trial
with a seed of that trial's own, so a suggestion depends on seed and history alone.
"""

from optuna.samplers import BaseSampler

from stocktake.parts import Shelf

Sampler = BaseSampler

samplers: Shelf[Sampler] = Shelf("sampler", package=__name__)
