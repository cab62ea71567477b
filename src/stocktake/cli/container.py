"""Container: where a model lies, and what is set, when SageMaker or the like starts the server."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

BASE = "/opt/ml"
EVERYWHERE = "0.0.0.0"
NUMBERS = {
    "SAGEMAKER_BIND_TO_PORT": ("port", int),
    "SAGEMAKER_MODEL_SERVER_WORKERS": ("processes", int),
    "SAGEMAKER_MODEL_SERVER_TIMEOUT": ("answer_timeout_s", float),
    "SAGEMAKER_MAX_PAYLOAD_IN_MB": ("max_body_mb", float),
}
"""Variables of SageMaker's inference toolkit, and the settings of serve that they are."""


def model_folder(environment: Mapping[str, str]) -> Path:
    """Where the model was unpacked.

    Raises:
        UsageError: if there is nothing: this is no such container.
    """
    folder = Path(environment.get("SAGEMAKER_BASE_DIR", BASE)) / "model"
    if not folder.is_dir():
        raise click.UsageError(
            f"serve needs a BUNDLE; only in a container, with the model in {folder}, it needs none"
        )
    return folder


def serve_table(environment: Mapping[str, str]) -> dict[str, Any]:
    """The table [serve] that the container's environment asks for.

    Raises:
        UsageError: if a variable that must be a number is none.
    """
    table: dict[str, Any] = {"host": EVERYWHERE}
    for variable, (name, kind) in NUMBERS.items():
        text = environment.get(variable, "").strip()
        if not text:
            continue
        try:
            table[name] = kind(text)
        except ValueError:
            raise click.UsageError(f"{variable} is '{text}', expected a number") from None
    return table
