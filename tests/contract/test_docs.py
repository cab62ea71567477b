"""Docs that cannot lie: links lead somewhere, commands exist, examples are right, code runs."""

import re
import shlex
from pathlib import Path

import click
import pytest

from stocktake.cli.main import main
from stocktake.stages import run as driver
from stocktake.stages import table

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.toml"))


def name(path: Path) -> str:
    return str(path.relative_to(ROOT))


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, flags=re.DOTALL | re.MULTILINE)


def commands(page: Path) -> list[list[str]]:
    """The words of every `stocktake` line in the page's shell blocks."""
    lines = [line for block in blocks(page, "sh") for line in block.splitlines()]
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("stocktake ")]


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_links_lead_somewhere(page: Path):
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", page.read_text(encoding="utf-8"))
    gone = [t for t in targets if "://" not in t and not (page.parent / t).exists()]

    assert gone == []


@pytest.mark.parametrize("page", [p for p in PAGES if commands(p)], ids=name)
def test_commands_are_typed_as_they_can_be(page: Path):
    for words in commands(page):
        command: click.Command = main
        context = click.Context(main, info_name="stocktake")
        while isinstance(command, click.Group) and (words or not command.invoke_without_command):
            found = command.get_command(context, words.pop(0))
            assert found is not None, words
            command = found
        context = command.make_context(command.name, list(words))
        file, sets = context.params.get("file"), context.params.get("sets", ())
        if file and str(file).startswith("examples/"):
            driver.read_plan(ROOT / file, sets=sets)


@pytest.mark.parametrize("example", EXAMPLES, ids=name)
def test_an_example_can_be_run_as_it_is(example: Path):
    plan = driver.read_plan(example)

    assert plan.name == example.stem
    driver.check_parts(plan)


def test_the_readme_lists_every_command():
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    words = [*table.names(), "run", "runs", "settings", "parts"]

    assert [word for word in words if f"`stocktake {word}" not in text] == []


def test_words_of_make_exist():
    made = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), flags=re.MULTILINE))
    said = {
        word
        for page in PAGES
        for word in re.findall(r"(?:^|`)make ([a-z-]+)", page.read_text(), flags=re.MULTILINE)
    }

    assert said and said <= made


def test_the_part_of_the_how_to_works():
    import torch

    from stocktake.vision.losses import losses

    (code,) = blocks(ROOT / "docs/how-to/add-a-part.md", "python")
    exec(compile(code, "my_parts.py", "exec"), {"__name__": "my_parts"})
    loss = losses.make("absolute")
    sure = torch.log_softmax(torch.tensor([[0.0, 9.0, 0.0]]), dim=1)

    assert loss(sure, torch.tensor([1])) < loss(sure, torch.tensor([2]))
    losses._parts.pop("absolute")


def test_every_figure_of_the_readme_stands_in_the_log():
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    log = (ROOT / "docs/log.md").read_text(encoding="utf-8")
    figures = set(re.findall(r"\d+\.\d+ %", readme))

    assert figures and sorted(f for f in figures if f not in log) == []
