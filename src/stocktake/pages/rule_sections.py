"""Rule sections: what the rules that watched the training found."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from stocktake.pages.standing import Stages

FOLDER = "rule-output"
SAID = {
    "IssuesFound": "found something",
    "NoIssuesFound": "nothing found",
    "InProgress": "not at its end",
    "Stopped": "nothing found before it was stopped",
    "Error": "failed",
}
"""SageMaker's words for how a rule stands, in plain ones."""
FIRST = ("IssuesFound", "Error")


def rules(stages: Stages) -> dict[str, Any] | None:
    """A row per rule, those first that found something; None if no rule watched."""
    if "train" not in stages:
        return None
    folder = stages["train"].run.path / FOLDER
    rows = [_row(path, folder) for path in _files(folder)]
    rows.sort(key=lambda row: (row["member"], row["status"] not in FIRST))
    pages = [str(path.relative_to(folder.parents[1])) for path in _pages(folder)]
    if not rows:
        return None
    return {"rows": rows, "pages": pages, "members": any(row["member"] for row in rows)}


def _files(folder: Path) -> Iterator[Path]:
    """The rules' files; of several members each has a folder of them."""
    yield from sorted(folder.glob("*.json"))
    yield from sorted(folder.glob("member-*/*.json"))


def _pages(folder: Path) -> list[Path]:
    """The profiler's pages."""
    return sorted(folder.glob("**/profiler-report.html"))


def _row(path: Path, folder: Path) -> dict[str, Any]:
    told = json.loads(path.read_text(encoding="utf-8"))
    first = told.get("first")
    status = str(told["RuleEvaluationStatus"])
    return {
        "member": "" if path.parent == folder else path.parent.name.removeprefix("member-"),
        "rule": told["RuleConfigurationName"],
        "status": status,
        "said": SAID.get(status, status),
        "step": f"{first['mode']} {first['step']}" if first else "",
        "message": told["StatusDetails"],
        "advice": told["advice"],
    }
