"""Schema: one module per noun that touches disk or wire: columns or fields, format name, check.

Tables are Arrow, small things dataclasses with JSON. May use errors only; no torch.
"""
