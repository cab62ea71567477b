"""What people see: progress with rate and time left on stderr, results on stdout."""

import json
import sys
import time
from collections.abc import Mapping, Sequence
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn
from rich.text import Text

from stocktake.pages.words import seconds
from stocktake.runs.folder import RunFolder


class _Rate(ProgressColumn):
    """Rate and time left, from the run's own clock."""

    def render(self, task: Task) -> Text:
        rate, left = task.fields.get("rate"), task.fields.get("left")
        text = f"{rate:.3g}/s" if rate else ""
        if left is not None:
            text += f", {seconds(left)} left"
        return Text(text)


class ProgressWatch:
    """Draws what happens to the stages of a run; on a pipe, one line per stage instead."""

    def __init__(self) -> None:
        self._console = Console(stderr=True)
        self._bar: Progress | None = None
        self._started = 0.0
        self._warned = 0

    def __call__(self, moment: str, stage: str, run: RunFolder) -> None:
        """Take note of a moment: start, tick, done or skip."""
        getattr(self, f"_{moment}")(stage, run)

    def close(self) -> None:
        """Take the bar off the screen."""
        if self._bar:
            self._bar.stop()
            self._bar = None

    def _start(self, stage: str, run: RunFolder) -> None:
        self._started = time.monotonic()
        self._warned = sum(1 for _ in run.lines())
        if not self._console.is_terminal:
            self._line(f"{stage:<9} ...")
            return
        self._bar = Progress(
            TextColumn("{task.description:<9}"),
            BarColumn(bar_width=30),
            TextColumn("{task.fields[text]}"),
            _Rate(),
            console=self._console,
            transient=True,
        )
        self._bar.add_task(stage, total=None, text="starting")
        self._bar.start()

    def _tick(self, stage: str, run: RunFolder) -> None:
        state = run.how_far()
        if not self._bar or state is None:
            return
        total = f" of {state.total:,}" if state.total else ""
        self._bar.update(
            self._bar.task_ids[0],
            completed=state.done,
            total=state.total,
            text=f"{state.done:,}{total} {state.what}",
            rate=state.per_s,
            left=state.left_s,
        )

    def _done(self, stage: str, run: RunFolder) -> None:
        self.close()
        self._line(f"{stage:<9} done in {seconds(time.monotonic() - self._started)}")
        for row in list(run.lines())[self._warned :]:
            if row["level"] == "warning":
                self._line(f"{stage:<9} warning: {row['message']}")

    def _skip(self, stage: str, run: RunFolder) -> None:
        self._line(f"{stage:<9} is done already")

    def _line(self, text: str) -> None:
        click.echo(text, err=True)


def print_json(value: Any) -> None:
    """One JSON object on stdout."""
    click.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def print_facts(facts: Mapping[str, Any]) -> None:
    """A result on stdout, a line each; tables inside it on one line, long ones counted."""
    width = max((len(key) for key in facts), default=0)
    for key, value in facts.items():
        click.echo(f"{key:<{width}}  {brief(value)}")


def brief(value: Any) -> str:
    """A value on one line."""
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, Mapping):
        return ", ".join(f"{k}: {brief(v)}" for k, v in value.items()) or "none"
    if isinstance(value, list):
        if len(value) > 8 or any(isinstance(item, dict | list) for item in value):
            return f"{len(value)} entries"
        return ", ".join(brief(item) for item in value) or "none"
    return str(value)


def print_rows(rows: Sequence[Mapping[str, Any]]) -> None:
    """Rows as an aligned text table on stdout, numbers to the right."""
    if not rows:
        return
    heads = list(rows[0])
    cells = [[brief(row.get(head, "")) for head in heads] for row in rows]
    widths = [max(len(head), *(len(line[i]) for line in cells)) for i, head in enumerate(heads)]
    right = [all(isinstance(row.get(head), int | float) for row in rows) for head in heads]
    for line in [heads, *cells]:
        words = [
            word.rjust(width) if to_right else word.ljust(width)
            for word, width, to_right in zip(line, widths, right, strict=True)
        ]
        click.echo("  ".join(words).rstrip())
    sys.stdout.flush()
