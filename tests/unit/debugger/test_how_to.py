"""The page docs/how-to/debug-a-training.md: its code runs, and it names every rule."""

import re
from pathlib import Path

import pytest
from recorded import SECONDS, scalars

from stocktake.debugger import rules
from stocktake.debugger.check import check
from stocktake.debugger.records import Record

PAGE = Path(__file__).parents[3] / "docs/how-to/debug-a-training.md"
TEXT = PAGE.read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```python\n(.*?)^```", TEXT, flags=re.DOTALL | re.MULTILINE)


@pytest.fixture
def shelf():
    """The page's rule is taken off the shelf again."""
    rules.names()
    before = dict(rules.RULES)
    yield
    rules.RULES.clear()
    rules.RULES.update(before)


def test_the_code_of_the_page_runs(shelf, capsys):
    flat = scalars("loss", [1.0] * 12)
    diverged = [scalars("loss", {step: float("nan")}, start=SECONDS) for step in (12, 13, 14)]
    given = {"record": Record(flat), "coming": iter(diverged), "__name__": "page"}
    for block in BLOCKS:
        exec(compile(block, PAGE.name, "exec"), given)

    assert "LossNotDecreasing IssuesFound 10" in capsys.readouterr().out
    assert given["stop"].asked
    assert list(given["coming"]) != []


def test_the_rule_of_the_page_finds_what_it_says(shelf):
    (code,) = [block for block in BLOCKS if block.startswith("# my_rules.py")]
    exec(compile(code, "my_rules.py", "exec"), {"__name__": "my_rules"})
    steps = {0: 0.0, 100: 1e-7, 101: 1.0}
    record = Record(scalars("fc.bias", steps, collection="biases", statistic="abs_mean"))
    (verdict,) = check(record, ["LazyBias"])

    assert (verdict.status, verdict.first_step, verdict.last_step) == ("IssuesFound", 100, 100)
    assert check(record, {"LazyBias": {"start_step": "200"}})[0].status == "NoIssuesFound"
    assert len(code.splitlines()) <= 14


def test_the_page_names_every_debug_rule():
    families = "losses|gradients|activations|tensors|labels|inputs|runs|stalls"
    modules = {f"stocktake.debugger.rules.{family}" for family in families.split("|")}
    shelved = [name for name in rules.names() if rules.find(name).judge.__module__ in modules]

    assert len(shelved) >= 18
    assert [name for name in shelved if f"| {name} |" not in TEXT] == []
