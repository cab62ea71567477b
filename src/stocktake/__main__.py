"""`python -m stocktake`: the same words as the `stocktake` command."""

from stocktake.cli.main import entry

if __name__ == "__main__":
    entry()
