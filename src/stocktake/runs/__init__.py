"""Runs: what a job is, what a run folder holds, what settings mean.

In: settings files, jobs, paths. Out: run folders that people and later stages can read.
May use `store`, `schema`, `parts` and `errors`.
"""
