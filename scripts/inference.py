"""Handler functions for a SageMaker endpoint, and a way to try them: bytes in, JSON out, no torch.

By hand:       python scripts/inference.py --model-dir model photo.jpg ...
On SageMaker:  entry_point="inference.py"; the model archive holds what scripts/train.py wrote.
"""

import argparse
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

from stocktake.errors import DataError, StocktakeError
from stocktake.schema.predictions import Prediction
from stocktake.serve import wire
from stocktake.serve.predictor import Predictor


def model_fn(model_dir: str) -> Predictor:
    """The predictor over the bundle in `model_dir`; its self-test has passed."""
    folder = Path(model_dir)
    inside = folder / "bundle"
    predictor = Predictor.load(inside if (inside / "bundle.json").exists() else folder)
    predictor.self_test()
    return predictor


def input_fn(body: bytes | str, content_type: str) -> wire.Request:
    """The photos of a request: an image's bytes, or JSON with base64 texts."""
    return wire.read(body.encode() if isinstance(body, str) else bytes(body), content_type)


def predict_fn(data: wire.Request, model: Predictor) -> dict[str, Any]:
    """The answer to a request, as the server of the house gives it."""
    started = time.perf_counter()
    predictions: list[Prediction | DataError] = []
    for photo in data.photos:
        predictions += [photo] if isinstance(photo, DataError) else model.predict([photo])
    ms = 1000 * (time.perf_counter() - started)
    timed = [wire.Timed(answer=one) for one in predictions]
    return wire.answers(timed, is_many=data.is_many, ms=ms)


def output_fn(prediction: dict[str, Any], accept: str = wire.JSON_TYPE) -> tuple[str, str]:
    """(body, content type); JSON whatever `accept` says, since there is no other form."""
    return json.dumps(prediction), wire.JSON_TYPE


def main() -> int:
    """Answer photo files; one JSON line each."""
    parser = argparse.ArgumentParser(description="Count the photos with a trained model.")
    parser.add_argument("--model-dir", default=os.environ.get("SM_MODEL_DIR", "model"))
    parser.add_argument("photos", nargs="+", type=Path)
    args = parser.parse_args()
    kinds = {".png": "image/png", ".webp": "image/webp"}
    failed = 0
    try:
        model = model_fn(args.model_dir)
    except StocktakeError as err:
        print(f"error: {err}", file=sys.stderr)
        return err.exit_code
    for path in args.photos:
        try:
            asked = input_fn(path.read_bytes(), kinds.get(path.suffix.lower(), "image/jpeg"))
            answer = predict_fn(asked, model)
        except (StocktakeError, OSError) as err:
            failed, answer = failed + 1, {"error": str(err)}
        print(output_fn({"photo": str(path), **answer})[0])
    return DataError.exit_code if failed else 0


if __name__ == "__main__":
    sys.exit(main())
