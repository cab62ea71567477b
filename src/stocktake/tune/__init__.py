"""Tune: search spaces and studies. In: a space and outcomes told; out: settings to try next.

May use parts, errors and optuna. Knows no jobs and no stages: `stages/tune.py` sends the trials.
"""
