"""Serve: photo bytes in, calibrated counts out, over Python or HTTP; no torch.

In: a bundle's folder and photos as JPEG, PNG or WEBP bytes. Out: `Prediction`s, or JSON answers.
May use `imaging`, `measure`, `schema` and `errors`.
"""
