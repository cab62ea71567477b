"""TorchServe's side of bench/serve.py: a photo becomes a count, with PIL and plain torch."""

import io
import json
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from ts.torch_handler.base_handler import BaseHandler


class Handler(BaseHandler):
    """One TorchScript model, the bundle's own preprocessing."""

    def initialize(self, context):
        """Load the model and how its photos are prepared."""
        folder = Path(context.system_properties["model_dir"])
        self.model = torch.jit.load(str(folder / "model.pt")).eval()
        self.about = json.loads((folder / "preprocessing.json").read_text())
        self.initialized = True

    def preprocess(self, data):
        """Requests, each with the bytes of a photo, to a batch (B, 3, S, S)."""
        return torch.stack(
            [planes(bytes(row.get("body") or row.get("data")), self.about) for row in data]
        )

    def inference(self, data, *args, **kwargs):
        """Log-probabilities (B, K)."""
        with torch.inference_mode():
            return self.model(data)

    def postprocess(self, data):
        """One answer per request."""
        return [answer(row) for row in data]


def planes(photo, about):
    """The photo as (3, S, S), normalised."""
    side_px = about["side_px"]
    rgb = Image.open(io.BytesIO(photo)).convert("RGB")
    rgb = rgb.resize((side_px, side_px), Image.Resampling.BILINEAR)
    mean, std = np.float32(about["mean"]), np.float32(about["std"])
    scaled = (np.asarray(rgb, dtype=np.float32) / 255 - mean) / std
    return torch.from_numpy(np.ascontiguousarray(scaled.transpose(2, 0, 1)))


def answer(log_probs):
    """What is told of one photo."""
    probabilities = log_probs.exp()
    count = int(probabilities.argmax())
    return {
        "count": count,
        "confidence": float(probabilities[count]),
        "probabilities": probabilities.tolist(),
        "time": time.time(),
    }
