import re
from collections import Counter
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from stocktake.errors import RunError, StocktakeError
from stocktake.pages.report import write_report
from stocktake.pages.sections import SECTIONS
from stocktake.schema.cards import ScoreCard

VOID = {"meta", "img", "br", "link", "input", "hr"}
REFERENCES = {"src", "href", "xlink:href", "srcset", "data", "poster", "action", "background"}


class Page(HTMLParser):
    """A page taken apart: tags, attributes, ids, words, and what is not closed as opened."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: Counter[str] = Counter()
        self.attributes: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.crossed: list[str] = []
        self.words: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        self.tags[tag] += 1
        self.attributes += [(name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        if not self.open or self.open.pop() != tag:
            self.crossed.append(tag)

    def handle_data(self, data):
        if not self.open or self.open[-1] != "style":
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())

    def values(self, name: str) -> list[str]:
        return [value for key, value in self.attributes if key == name]


@pytest.fixture(scope="module")
def text(whole_run) -> str:
    return write_report(whole_run).read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def page(text) -> Page:
    return Page(text)


def rewritten(folder: Path) -> Page:
    return Page(write_report(folder).read_text(encoding="utf-8"))


def keep(folder: Path, *names: str) -> None:
    """Leave only these stages: what the others show takes its time."""
    for one in list(folder.iterdir()):
        if one.name not in names:
            one.rename(folder.parent / one.name)


def test_a_whole_run_shows_every_section_and_hides_none(page):
    assert [name for name in page.values("id") if name in {s.name for s in SECTIONS}] == [
        section.name for section in SECTIONS
    ]
    assert "annot be shown" not in page.text


def test_the_headline_says_accuracy_interval_n_fold_and_majority(page, whole_run):
    card = ScoreCard.read(whole_run / "evaluate/artifacts/scorecard.json")
    accuracy = card.metrics["accuracy"]
    majority = card.baselines["majority"]

    assert (
        f"Counts {accuracy.value:.1%} of {card.n} test photos right (95% interval"
        f" {100 * accuracy.low:.1f} to {accuracy.high:.1%}); always answering"
        f" {majority.answer:.0f} gets {majority.metrics['accuracy'].value:.1%}." in page.text
    )
    assert "58 painted bins, no real photos, from" in page.text


def test_nothing_is_fetched_from_anywhere(text, page):
    references = [value for key, value in page.attributes if key in REFERENCES]

    assert references and all(v.startswith(("#", "data:image/jpeg;base64,")) for v in references)
    assert not {"script", "link", "iframe", "object", "embed", "base"} & set(page.tags)
    assert not re.search(r"url\((?!#)|@import|@font-face", text)
    assert any("default-src 'none'" in value for value in page.values("content"))


def test_whatever_comes_from_outside_is_text(page):
    assert page.text.count("<script>alert(1)</script>") >= 5
    assert "<img src=x onerror=alert(1)>.jpg" in page.text
    assert not [name for name, _ in page.attributes if name.startswith("on")]


def test_every_tag_is_closed_where_it_was_opened(page):
    assert page.crossed == [] and page.open == []


def test_drawings_are_whole_xml_and_their_ids_are_their_own(text, page, svgs):
    drawings = list(svgs(text))
    for drawing in drawings:
        ElementTree.fromstring(drawing)

    assert len(drawings) >= 9
    assert [name for name, times in Counter(page.values("id")).items() if times > 1] == []
    used = re.findall(r"url\(#([^)]+)\)", text) + [h[1:] for h in page.values("href")]
    assert set(used) <= set(page.values("id"))


def test_colours_are_those_of_light_and_dark(text, svgs):
    assert "prefers-color-scheme: dark" in text
    for drawing in svgs(text):
        assert not re.search(r"#[0-9a-f]{6}\b", re.sub(r'href="#[^"]*"|url\(#[^)]*\)', "", drawing))


def test_the_same_folder_gives_the_same_bytes(text, whole_run):
    assert write_report(whole_run).read_text(encoding="utf-8") == text


def test_a_page_of_small_photos_is_small(text):
    assert len(text) < 500_000


def test_the_old_page_stays_whole_until_the_new_one_is(demo):
    keep(demo, "split")
    old = demo / "report.html"
    old.write_text("the old page")
    with old.open() as reading:
        path = write_report(demo)

        assert reading.read() == "the old page"
    assert path == old and old.read_text().startswith("<!doctype html>")
    assert [p.name for p in demo.iterdir() if "part" in p.name] == []


def test_a_folder_without_runs_has_no_report(tmp_path):
    with pytest.raises(RunError, match="no run of any stage"):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_page_that_cannot_be_written_is_a_clear_error(demo):
    keep(demo, "split")
    (demo / "report.html").mkdir()

    with pytest.raises(StocktakeError, match=r"report\.html"):
        write_report(demo)


def test_a_failed_stage_is_told_with_its_line_and_its_sections_are_left_out(demo, reword):
    keep(demo, "evaluate", "ingest", "serve")
    error = {"kind": "DataError", "message": "it broke <b onclick=x>here</b>"}
    reword(demo / "evaluate/run.json", status="failed", error=error)
    page = rewritten(demo)

    assert "evaluate failed : it broke <b onclick=x>here</b>" in page.text
    assert "No scorecard yet" in page.text
    assert not {"scorecard", "per-count", "confusion", "calibration"} & set(page.values("id"))
    assert {"ingested", "answers"} <= set(page.values("id"))


def test_text_that_is_no_text_does_not_cost_the_page(demo, reword):
    keep(demo, "split")
    reword(demo / "split/run.json", status="failed", error={"message": "bad name \ud800.jpg"})

    assert "bad name ?.jpg" in rewritten(demo).text


def test_a_missing_stage_is_said_and_left_out(demo):
    keep(demo, "ingest", "split")
    page = rewritten(demo)

    missing = "paint, explore, tune, train, score, evaluate, export, predict, serve"
    assert f"Not in this run: {missing}." in page.text
    assert {"ingested", "rejected", "folds"} <= set(page.values("id"))
    assert not {"tuning", "samples", "answers"} & set(page.values("id"))


def test_stages_made_from_an_earlier_one_are_said_to_be_outdated(demo, reword):
    keep(demo, "train", "score", "evaluate", "split")
    reword(demo / "train/run.json", fingerprint="another")

    assert "score, evaluate : outdated , made from an earlier train than" in rewritten(demo).text


def test_a_damaged_artifact_costs_its_own_sections_and_one_line(demo):
    keep(demo, "evaluate", "split")
    (demo / "evaluate/artifacts/scorecard.json").write_bytes(b'{"cut')
    page = rewritten(demo)

    assert page.text.count("Cannot be shown:") == 1 and "scorecard.json cannot be read" in page.text
    assert "The scorecard cannot be shown: see why" in page.text
    assert {"folds", "timings"} <= set(page.values("id"))


def test_real_photos_come_with_a_word_on_their_owner(demo, reword):
    keep(demo, "ingest")
    reword(demo / "ingest/settings.json", source="s3://some-bucket")
    page = rewritten(demo)

    assert "58 photos from s3://some-bucket" in page.text
    assert page.text.count("Photos shown are the dataset owner's; see NOTICE.") == 2
