"""The words people type. The only place that prints, reads the environment or exits.

Results go to stdout, progress and errors to stderr. May use everything below.
"""
