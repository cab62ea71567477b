"""Engines: where a job runs. In: jobs. Out: run folders made by the stages' worker.

May use everything below the `cli`. Each engine meets the `Engine` protocol in `runs/job.py`.
"""
