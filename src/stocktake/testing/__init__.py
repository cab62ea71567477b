"""Testing: what every part must pass, for us and for authors of plugins.

Functions that take a part's name (or table) and raise AssertionError with a sentence. May use any
floor below the command line.
"""
