"""Debugger: records what happens in a training, and rules that say what is wrong with it.

It imports nothing of the house: any PyTorch loop can use it. Training writes a record, judging
happens elsewhere, live or afterwards, on the same machine or another.
"""
