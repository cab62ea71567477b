"""Fingerprints: whether a finished run still is what its settings and inputs would make today."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def of(value: Any) -> str:
    """Hex digest of plain data; equal data, equal digest, whatever the order of keys."""
    text = json.dumps(value, sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def of_run(
    stage: str, version: int, *, settings: Any, inputs: Mapping[str, str], outside: str
) -> str:
    """Fingerprint of a run.

    Args:
        stage: name of the stage.
        version: the stage's own version; it grows when the stage's meaning changes.
        settings: every setting, resolved, as plain data.
        inputs: fingerprint of each input run by its name.
        outside: digest of what the settings only point at (a bucket's listing, a file's hash).
    """
    return of([stage, version, settings, dict(inputs), outside])


def of_file(path: Path) -> str:
    """SHA-256 of a file's bytes, hex."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()
