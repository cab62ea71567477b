"""Vision: photos in, log-probabilities over counts out; training, checkpoints, ONNX export.

The only room with torch. Takes PhotoShards, arrays and plain arguments; gives checkpoints folders
and NumPy arrays. May use imaging, runs, store, schema, parts and errors; no other room.
"""
