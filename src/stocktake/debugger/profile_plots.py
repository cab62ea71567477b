"""Plots of the profiler's page, as SVG that takes the page's colours: drawn by hand, no library."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

import numpy as np

from stocktake.debugger.samples import Array

WIDTH, HEIGHT = 440, 150
"""Drawn for about 440 px, so that text is readable at a phone's 330 px."""
LEFT, RIGHT, TOP, BOTTOM = 44, 10, 10, 24
BUCKETS = 220
"""A line has no more points than this: two pixels each."""
HISTOGRAM_BARS = 40


@dataclass(frozen=True, kw_only=True, slots=True)
class Line:
    """One line of a time line."""

    name: str
    times: Array
    """(n,), seconds since the training began, rising."""
    values: Array
    """(n,), in the plot's unit."""
    colour: str
    """A variable of the page's CSS, as "--model"."""


def timeline(lines: Sequence[Line], *, unit: str, end_s: float, top: float | None = None) -> str:
    """Lines over the time since the training began, with the range of each bucket behind them.

    Args:
        lines: what to draw; those without a point are left out.
        unit: of the values, as "%".
        end_s: where the time axis ends, in seconds.
        top: where the value axis ends; None for a round number over all values.
    """
    shown = [one for one in lines if len(one.times)]
    highest = max((float(one.values.max()) for one in shown), default=1.0)
    top = top or nice_top(highest)
    end_s = end_s or 1.0
    body = _grid(top, unit) + _time_axis(end_s)
    for one in shown:
        middles, low, mean, high = buckets(one.times, one.values, end_s)
        xs = [_x(time, end_s) for time in middles]
        if not np.allclose(low, high):
            up = [f"{x:.1f},{_y(y, top):.1f}" for x, y in zip(xs, high, strict=True)]
            down = [f"{x:.1f},{_y(y, top):.1f}" for x, y in zip(xs, low, strict=True)]
            body += (
                f'<polygon points="{" ".join(up + down[::-1])}"'
                f' fill="var({one.colour})" opacity=".22"/>'
            )
        points = " ".join(f"{x:.1f},{_y(y, top):.1f}" for x, y in zip(xs, mean, strict=True))
        if len(xs) == 1:
            body += f'<circle cx="{xs[0]:.1f}" cy="{_y(mean[0], top):.1f}" r="2" '
            body += f'fill="var({one.colour})"/>'
        else:
            body += f'<polyline points="{points}" stroke="var({one.colour})" class="line"/>'
    told = ", ".join(
        f"{one.name} {one.values.mean():.3g} {unit} on average, at most {one.values.max():.3g}"
        for one in shown
    )
    return _svg(body, told or "nothing was sampled")


def histogram(values: Array, *, unit: str, colour: str, mark: float | None = None) -> str:
    """How often each value came, on a square-root scale: a single long step must be seen.

    Args:
        values: (n,), not negative.
        unit: of the values.
        colour: a variable of the page's CSS.
        mark: where to draw a dashed line; None for nowhere.
    """
    end = nice_top(float(values.max()) if len(values) else 0.0)
    counts, edges = np.histogram(values, HISTOGRAM_BARS, (0.0, end))
    most = max(1, int(counts.max()))
    body = ""
    marks = sorted({1, most} | ({_round_down(most / 4)} if most >= 20 else set()))
    for tick in marks:
        y = _y(math.sqrt(tick), math.sqrt(most))
        body += f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
        body += f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="end">{tick}</text>'
    for count, left, right in zip(counts, edges[:-1], edges[1:], strict=True):
        if count:
            x, y = _x(left, end), _y(math.sqrt(count), math.sqrt(most))
            body += (
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{_x(right, end) - x - 0.8:.1f}"'
                f' height="{HEIGHT - BOTTOM - y:.1f}" fill="var({colour})"/>'
            )
    if mark is not None and 0 < mark < end:
        x = _x(mark, end)
        body += f'<line x1="{x:.1f}" x2="{x:.1f}" y1="{TOP}" y2="{HEIGHT - BOTTOM}" class="mark"/>'
    for at in (0.0, end / 2, end):
        body += _below(_x(at, end), f"{at:g} {unit if at == end else ''}".strip(), at, end)
    told = f"{len(values)} values" + (
        f", median {np.median(values):.3g} {unit}, longest {values.max():.3g}"
        if len(values)
        else ""
    )
    return _svg(body + _floor(), told)


def shares(parts: Sequence[tuple[str, float, str]]) -> str:
    """A bar cut into parts; each is a name, its share in % and a variable of the page's CSS."""
    x, body = 0.0, ""
    for name, share, colour in parts:
        wide = WIDTH * share / 100
        body += (
            f'<rect x="{x:.2f}" y="0" width="{max(0.0, wide - 0.6):.2f}" height="26"'
            f' fill="var({colour})"><title>{escape(name)} {share:.1f} %</title></rect>'
        )
        x += wide
    told = ", ".join(f"{name} {share:.0f} %" for name, share, _ in parts)
    return (
        f'<svg viewBox="0 0 {WIDTH} 26" preserveAspectRatio="none" class="shares" role="img"'
        f' aria-label="{escape(told, quote=True)}">{body}</svg>'
    )


def buckets(times: Array, values: Array, end_s: float) -> tuple[Array, Array, Array, Array]:
    """Middle, lowest, mean and highest of the values in each stretch of time that has some.

    Args:
        times: (n,), seconds, rising.
        values: (n,).
        end_s: end of the last stretch.

    Returns:
        Four arrays (m,), m at most BUCKETS.
    """
    if len(times) <= BUCKETS:
        return times, values, values, values
    where = np.clip((times / end_s * BUCKETS).astype(int), 0, BUCKETS - 1)
    starts = np.flatnonzero(np.diff(where, prepend=-1))
    sizes = np.diff(np.append(starts, len(times)))
    return (
        np.add.reduceat(times, starts) / sizes,
        np.minimum.reduceat(values, starts),
        np.add.reduceat(values, starts) / sizes,
        np.maximum.reduceat(values, starts),
    )


def nice_top(value: float) -> float:
    """The next round number: 1, 1.5, 2, 3, 4, 5, 6 or 8 times a power of ten; 1 for nothing."""
    if not value > 0:
        return 1.0
    power = 10 ** math.floor(math.log10(value))
    return next(
        (step * power for step in (1, 1.5, 2, 3, 4, 5, 6, 8) if step * power >= value), 10.0 * power
    )


def time_ticks(end_s: float) -> tuple[list[float], float, str]:
    """Four to eight round times, the seconds of their unit, and the unit."""
    for step in (0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200):
        if end_s / step <= 6:
            break
    else:
        step = 3600.0 * math.ceil(end_s / 6 / 3600)
    unit_s, unit = next(
        pair
        for pair in ((3600.0, "h"), (60.0, "min"), (1.0, "s"))
        if step >= pair[0] or pair[0] == 1.0
    )
    return [step * i for i in range(int(end_s / step) + 1)], unit_s, unit


def _grid(top: float, unit: str) -> str:
    made = ""
    for tick in (0.0, top / 2, top):
        y = _y(tick, top)
        made += (
            f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}" class="grid"/>'
            f'<text x="{LEFT - 6}" y="{y + 4:.1f}" class="end">{tick:g}'
            f"{' %' if unit == '%' and tick == top else ''}</text>"
        )
    return made


def _time_axis(end_s: float) -> str:
    ticks, unit_s, unit = time_ticks(end_s)
    made = _floor()
    for tick in ticks:
        words = f"{tick / unit_s:g}" + (f" {unit}" if tick == ticks[-1] else "")
        made += _below(_x(tick, end_s), words, tick, end_s)
    return made


def _floor() -> str:
    y = HEIGHT - BOTTOM
    return f'<line x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y}" y2="{y}" class="floor"/>'


def _below(x: float, words: str, tick: float, end: float) -> str:
    where = "start" if tick == 0 else ("end" if tick > 0.93 * end else "mid")
    return f'<text x="{x:.1f}" y="{HEIGHT - 7}" class="{where}">{escape(words)}</text>'


def _round_down(value: float) -> int:
    power = 10 ** math.floor(math.log10(value))
    return int(value / power) * int(power)


def _x(value: float, end: float) -> float:
    return LEFT + (WIDTH - LEFT - RIGHT) * min(1.0, max(0.0, value / end))


def _y(value: float, top: float) -> float:
    return TOP + (HEIGHT - TOP - BOTTOM) * (1 - min(1.0, max(0.0, value / top)))


def _svg(body: str, told: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{escape(told, quote=True)}">{body}</svg>'
    )
