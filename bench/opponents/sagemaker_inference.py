"""sagemaker-pytorch-inference's side of bench/serve.py: the four functions of its contract."""

import json
from pathlib import Path

import torch
from torchserve_handler import answer, planes


def model_fn(model_dir, context=None):
    """The model, and how its photos are prepared."""
    folder = Path(model_dir)
    about = json.loads((folder / "code" / "preprocessing.json").read_text())
    return torch.jit.load(str(folder / "model.pt")).eval(), about


def input_fn(body, content_type, context=None):
    """The bytes of one photo."""
    if not content_type.startswith("image/"):
        raise ValueError("send a photo, not " + content_type)
    return bytes(body)


def predict_fn(photo, loaded, context=None):
    """Log-probabilities (K,) of one photo."""
    model, about = loaded
    with torch.inference_mode():
        return model(planes(photo, about)[None])[0]


def output_fn(log_probs, accept, context=None):
    """One answer as JSON."""
    return json.dumps(answer(log_probs))
