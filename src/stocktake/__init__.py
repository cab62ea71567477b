"""stocktake: counts from photos of warehouse bins.

The verbs live in `stocktake.stages`, the nouns in the rooms beside it; `stages/table.py` is the
way of the data. Importing this package loads nothing heavy.
"""

__version__ = "0.1.0"
