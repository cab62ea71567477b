"""Report: the whole run on one page, rebuilt from the folders of its stages."""

from pathlib import Path
from typing import Any

from stocktake.errors import from_os
from stocktake.pages import page
from stocktake.pages.sections import GROUPS, HEADLINE, PROVENANCE, make_one, make_sections
from stocktake.pages.standing import Stages, read_stages
from stocktake.runs import journal

NAME = "report.html"


def write_report(folder: Path) -> Path:
    """Path of report.html in the run's folder, written anew from what lies in it.

    Equal folders give equal bytes. The file is replaced in one step; stages that failed, were
    stopped or are still running are told with their reason.

    Args:
        folder: the run, with one folder per stage.

    Raises:
        RunError: if the folder holds no run of any stage.
        StocktakeError: if the file cannot be written, as on a full disk.
    """
    folder = Path(folder)
    stages = read_stages(folder)
    text = page.render("page.html", **_facts(folder, stages))
    path = folder / NAME
    sayable = text.encode("utf-8", "replace").decode("utf-8")  # names of files can hold anything
    try:
        journal.write_whole(path, sayable)
    except OSError as err:
        raise from_os(err) from err
    return path


def _facts(folder: Path, stages: Stages) -> dict[str, Any]:
    sections = make_sections(stages)
    ends = [stage.ended for stage in stages.values() if stage.ended]
    return {
        "name": folder.resolve().name,
        "stages": list(stages.values()),
        "headline": make_one(HEADLINE, stages),
        "provenance": make_one(PROVENANCE, stages),
        "groups": [
            (group, inside)
            for group in GROUPS
            if (inside := [section for section in sections if section.group == group])
        ],
        "ended": max(ends, default=None),
    }
