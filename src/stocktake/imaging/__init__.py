"""Imaging: bytes of a photo in, arrays of pixels out; the same for train, score and serve.

Uses NumPy and Pillow; of the house only errors. No torch, so that serving starts without it.
"""
