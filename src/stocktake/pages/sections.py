"""Sections: what the report shows, in order, each from the stages that it needs."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from jinja2 import TemplateError
from markupsafe import Markup

from stocktake.errors import StocktakeError
from stocktake.pages import (
    data_sections,
    explore_sections,
    gallery_sections,
    model_sections,
    page,
    rule_sections,
    run_sections,
    score_sections,
    use_sections,
)
from stocktake.pages.standing import DAMAGE, Stages, line

Facts = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Section:
    """A part of the page: a template, and who fills it."""

    name: str
    """Its anchor, and its template's name."""
    title: str
    group: str
    """The heading it stands below."""
    needs: tuple[str, ...]
    """Stages that must be done; without them the section is left out."""
    read: Callable[[Stages], Facts | None]
    """Plain facts for the template; None if there is nothing to show."""


GROUPS = ("Result", "Answers", "Training", "Data", "Run")
"""Headings of the page, in order."""

HEADLINE = Section("headline", "Headline", "", ("evaluate",), score_sections.headline)
PROVENANCE = Section("provenance", "Data", "", ("ingest",), data_sections.provenance)
"""Both stand at the top; where they cannot, the sections below say why."""

SECTIONS = (
    Section("scorecard", "Scorecard", "Result", ("evaluate",), score_sections.scorecard),
    Section("per-count", "By true count", "Result", ("evaluate",), score_sections.per_count),
    Section("slices", "Where it is weak", "Result", ("evaluate",), score_sections.slices),
    Section("confusion", "Confusion", "Result", ("evaluate",), score_sections.confusion),
    Section("calibration", "Calibration", "Result", ("evaluate",), score_sections.calibration),
    Section(
        "selective",
        "If only sure answers are taken",
        "Result",
        ("evaluate",),
        score_sections.selective,
    ),
    Section("answers", "Over HTTP", "Answers", ("serve",), use_sections.answers),
    Section(
        "gallery",
        "Worth a look",
        "Answers",
        ("ingest", "score", "evaluate"),
        gallery_sections.gallery,
    ),
    Section("predictions", "Predictions", "Answers", ("predict",), use_sections.predictions),
    Section("bundle", "Bundle", "Answers", ("export",), use_sections.bundle),
    Section("training", "Learning curves", "Training", (), model_sections.training),
    Section("rules", "Rules", "Training", (), rule_sections.rules),
    Section("tuning", "Tuning", "Training", (), model_sections.tuning),
    Section("painted", "Painted", "Data", ("paint",), data_sections.painted),
    Section("ingested", "Photos taken", "Data", ("ingest",), data_sections.ingested),
    Section("rejected", "Rejects", "Data", ("ingest",), data_sections.rejected),
    Section("samples", "Samples", "Data", ("explore",), data_sections.samples),
    Section("colours", "Dominant colours", "Data", ("explore",), data_sections.colours),
    Section("dimensions", "Dimensions", "Data", ("explore",), data_sections.dimensions),
    Section("quality", "Sharpness and exposure", "Data", ("explore",), explore_sections.quality),
    Section("duplicates", "Equal photos", "Data", ("explore",), explore_sections.duplicates),
    Section("held", "What the bins hold", "Data", ("explore",), data_sections.held),
    Section("items", "Items on record", "Data", ("explore",), explore_sections.items),
    Section("fullness", "Empty and full bins", "Data", ("explore",), explore_sections.fullness),
    Section("moves", "Between siblings", "Data", ("explore",), explore_sections.moves),
    Section("suspects", "Suspicious counts", "Data", ("explore",), explore_sections.suspects),
    Section("folds", "Folds", "Data", ("split",), data_sections.folds),
    Section("leaks", "Leaks", "Data", ("split",), data_sections.leaks),
    Section("timings", "Stages and times", "Run", (), run_sections.timings),
    Section("warnings", "Warnings", "Run", (), run_sections.warnings),
    Section("machine", "Machine", "Run", (), run_sections.machine),
    Section("settings", "Settings", "Run", (), run_sections.settings),
)


@dataclass(kw_only=True, slots=True)
class Made:
    """A section as it stands on the page: its HTML, or why it cannot be shown."""

    name: str
    title: str
    group: str
    html: Markup = Markup()
    problem: str = ""


def make_sections(stages: Stages, sections: Iterable[Section] = SECTIONS) -> list[Made]:
    """The sections whose stages are done; a damaged artifact costs only its own.

    Sections that the same damage costs stand as one, with one line.
    """
    shown: list[Made] = []
    damaged: dict[str, Made] = {}
    for section in sections:
        made = make_one(section, stages)
        if made is None:
            continue
        if made.problem in damaged:
            damaged[made.problem].title += f", {made.title}"
            continue
        if made.problem:
            damaged[made.problem] = made
        shown.append(made)
    return shown


def make_one(section: Section, stages: Stages) -> Made | None:
    """The section as it stands on the page; None if there is nothing to show."""
    if not all(name in stages and stages[name].is_done for name in section.needs):
        return None
    made = Made(name=section.name, title=section.title, group=section.group)
    try:
        facts = section.read(stages)
        if facts is None:
            return None
        made.html = page.safe(page.render(f"{section.name}.html", **facts))
    except StocktakeError as err:
        made.problem = line(err)
    except (*DAMAGE, TemplateError) as err:
        again = f"; run {section.needs[-1]} again" if section.needs else ""
        made.problem = f"what it is made of is damaged ({line(err)}){again}"
    return made
