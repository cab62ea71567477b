"""The way of the data: one verb per file, each turning finished run folders into a new one.

`table.py` lists them in order; `worker.py` is where a job becomes a run; `tune.py` and `run.py` are
drivers that send jobs to an engine. May use every room below; heavy rooms inside functions only.
"""
