"""The profiler's page: verdicts with advice, time lines, steps and operators, in one HTML file."""

from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from html import escape
from typing import Any

import numpy as np

from stocktake.debugger import samples as known
from stocktake.debugger.profile_plots import Line, histogram, shares, timeline
from stocktake.debugger.profile_style import COLOURS, CSS, phase_colour
from stocktake.debugger.profiling import Verdict
from stocktake.debugger.profiling.overall import phase_times
from stocktake.debugger.samples import Profile

MB = 1e6
SHOWN_OPERATORS = 15


def page(
    seen: Profile,
    verdicts: Sequence[Verdict],
    operators: Sequence[Mapping[str, Any]],
    *,
    title: str,
) -> str:
    """The page as text.

    Args:
        seen: what the profiler saw.
        verdicts: what the rules say of it, in the order to show them.
        operators: tables of `trace.read_operators`.
        title: what was profiled.
    """
    parts = [
        _headline(seen, verdicts, title),
        _verdicts(verdicts),
        _phases(seen),
        _steps(seen, verdicts),
        _machines(seen),
        _operators(operators),
        _figures(verdicts),
    ]
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>Profile of {escape(title)}</title><style>{CSS}</style></head>\n"
        f"<body><main>\n{''.join(parts)}</main></body></html>\n"
    )


def _headline(seen: Profile, verdicts: Sequence[Verdict], title: str) -> str:
    fired = sum(bool(one.outcome.troubles) for one in verdicts)
    unjudged = sum(not one.is_judged for one in verdicts)
    if fired:
        lead = f"<b>{fired} of {len(verdicts)} rules</b> found something to mend."
    elif unjudged == len(verdicts):
        lead = "There is nothing to judge yet."
    else:
        lead = f"<b>No rule</b> of the {len(verdicts) - unjudged} that could judge found anything."
    facts = []
    if seen.first_time:
        began = datetime.fromtimestamp(seen.first_time, UTC)
        facts.append(
            f"{duration(seen.last_time - seen.first_time)} from {began:%Y-%m-%d %H:%M} UTC"
        )
    if steps := seen.steps("train"):
        facts.append(f"{len(steps):,} training steps")
    if seen.core_count():
        facts.append(f"{seen.core_count()} cores")
    gpus = len(seen.devices(known.GPU))
    facts.append(f"{gpus} GPU{'s' if gpus > 1 else ''}" if gpus else "no GPU")
    facts.append(f"{len(seen.samples):,} samples of {max(1, len(seen.nodes()))} machine"
                 f"{'s' if len(seen.nodes()) > 1 else ''}")  # fmt: skip
    if seen.damaged:
        facts.append(f"{seen.damaged} lines could not be read")
    return (
        f"<h1>Profile of <b>{escape(title)}</b></h1><p class='lead'>{lead}</p>"
        f"<p class='soft'>{escape('; '.join(facts))}.</p>"
    )


def _verdicts(verdicts: Sequence[Verdict]) -> str:
    made = ""
    for one in verdicts:
        outcome = one.outcome
        kind, word = ("good", "fine") if one.is_judged else ("soft", "not judged")
        if outcome.troubles:
            kind, word = "bad", "found"
        elif one.rule.startswith("Overall"):
            kind, word = "soft", "figures"
        told = "".join(f"<p>{escape(trouble.message)}.</p>" for trouble in outcome.troubles[:4])
        if len(outcome.troubles) > 4:
            told += f"<p>And {len(outcome.troubles) - 4} more, in {escape(one.rule)}.json.</p>"
        if outcome.troubles:
            told += f"<p class='advice'>{escape(one.advice)}</p>"
        else:
            about = one.about
            if word == "fine":
                about = f"Not seen: {about[:1].lower()}{about[1:]}"
            told += f"<p class='soft'>{escape(about)}</p>"
        if outcome.note:
            note = outcome.note.removeprefix("not judged: ")
            told += f"<p class='note'>{escape(note[:1].upper() + note[1:])}.</p>"
        made += (
            f"<tr><th scope='row'>{escape(one.rule)}</th>"
            f"<td class='{kind} word'>{word}</td><td>{told}</td></tr>"
        )
    return f"<h2>Verdicts</h2><table class='verdicts'>{made}</table>"


def _phases(seen: Profile) -> str:
    made = ""
    for mode in dict.fromkeys(one.mode for one in seen.steps()):
        times = phase_times(seen, mode)
        parts = [(name, found["share"], phase_colour(name)) for name, found in times.items()]
        rows = "".join(
            f"<tr><td><i style='background:var({phase_colour(name)})'></i>{escape(name)}</td>"
            f"<td>{found['share']:.1f}</td><td>{found['mean_ms']:.2f}</td>"
            f"<td>{found['calls']:,.0f}</td><td>{duration(found['total_s'])}</td></tr>"
            if name != "other"
            else f"<tr><td><i style='background:var({phase_colour(name)})'></i>in no phase</td>"
            f"<td>{found['share']:.1f}</td><td></td><td></td>"
            f"<td>{duration(found['total_s'])}</td></tr>"
            for name, found in times.items()
        )
        made += (
            f"<h3>Steps of mode {escape(mode)}</h3>{shares(parts)}"
            "<div class='wide'><table class='phases'>"
            "<tr><th>phase</th><th>share, %</th><th>ms each</th><th>times</th><th>in all</th></tr>"
            f"{rows}</table></div>"
        )
    outside = phase_times(seen, "")
    if outside:
        told = "; ".join(
            f"{name} {duration(found['total_s'])} in {found['calls']:,.0f}"
            for name, found in outside.items()
        )
        made += f"<p class='note'>Outside of steps: {escape(told)}.</p>"
    made = made or "<p class='soft'>No steps were seen.</p>"
    return f"<h2>Where the time goes</h2>{made}"


def _steps(seen: Profile, verdicts: Sequence[Verdict]) -> str:
    bounds = next((one.outcome.details for one in verdicts if one.rule == "StepOutlier"), {})
    made = ""
    end_s = seen.last_time - seen.first_time
    for mode in dict.fromkeys(one.mode for one in seen.steps()):
        steps = seen.steps(mode)
        took_ms = 1e3 * np.array([one.duration_s for one in steps])
        times = np.array([one.time for one in steps]) - seen.first_time
        bound = bounds.get(mode, {}).get("bound_ms")
        marked = f" Dashed: the bound of outliers, {bound:.0f} ms." if bound else ""
        line = Line(name="step", times=times, values=took_ms, colour="--model")
        made += _figure(
            f"Length of {mode} steps, ms", timeline([line], unit="ms", end_s=end_s), ""
        ) + _figure(
            f"How many {mode} steps took how long",
            histogram(took_ms, unit="ms", colour="--model", mark=bound),
            f"Median {np.median(took_ms):.1f} ms, longest {took_ms.max():.1f} ms.{marked}",
        )
    return f"<h2>Steps</h2><div class='plots'>{made}</div>" if made else ""


def _machines(seen: Profile) -> str:
    made = ""
    for node in seen.nodes():
        several = f" of {node}" if len(seen.nodes()) > 1 else ""
        made += "".join(_plots_of(seen, node, several))
    if not made:
        return "<h2>The machine</h2><p class='soft'>Nothing was sampled.</p>"
    return f"<h2>The machine</h2><div class='plots'>{made}</div>"


def _plots_of(seen: Profile, node: str, several: str) -> list[str]:
    end_s = seen.last_time - seen.first_time

    def line(
        name: str,
        dimension: str,
        colour: str,
        scale: float = 1.0,
        take: Callable[[list[float]], Any] = np.mean,
    ) -> Line:
        times, values = seen.over_devices(dimension, node, take)
        return Line(name=name, times=times - seen.first_time, values=values * scale, colour=colour)

    def lines_of_devices(dimension: str) -> list[Line]:
        found = [(key, value) for key, value in seen.devices(dimension).items() if key.node == node]
        return [
            Line(name=key.name, times=times - seen.first_time, values=values, colour=colour)
            for (key, (times, values)), colour in zip(found, COLOURS * len(found), strict=False)
        ]

    wanted: list[tuple[str, list[Line], str, float | None]] = [
        ("GPU in use, %", lines_of_devices(known.GPU), "%", 100.0),
        ("GPU memory taken, %", lines_of_devices(known.GPU_MEMORY), "%", 100.0),
        (
            "CPU in use, %",
            [
                line("busiest core", known.CPU, "--base", take=max),
                line("mean of cores", known.CPU, "--model"),
            ],
            "%",
            100.0,
        ),
        ("CPU waiting for I/O, %", [line("wait", known.IO_WAIT, "--other")], "%", 100.0),
        (
            "Memory taken, %",
            [
                line("machine", known.MEMORY, "--base"),
                line("this process", known.PROCESS_MEMORY, "--model"),
            ],
            "%",
            100.0,
        ),
        (
            "Disk, MB/s",
            [
                line("read", known.DISK_READ, "--model", 1 / MB),
                line("written", known.DISK_WRITE, "--other", 1 / MB),
            ],
            "MB/s",
            None,
        ),
        (
            "Network, MB/s",
            [
                line("received", known.RECEIVED, "--model", 1 / MB),
                line("sent", known.SENT, "--other", 1 / MB),
            ],
            "MB/s",
            None,
        ),
    ]
    made = []
    for name, lines, unit, top in wanted:
        shown = [one for one in lines if len(one.times)]
        if shown:
            plot = timeline(shown, unit=unit, end_s=end_s, top=top)
            made.append(_figure(name + several, plot, _key(shown, unit)))
    return made


def _key(lines: Sequence[Line], unit: str) -> str:
    return " ".join(
        f"<span class='nb'><i style='background:var({one.colour})'></i>{escape(one.name)}:"
        f" mean {one.values.mean():.3g}, at most {one.values.max():.3g} {unit}</span>"
        for one in lines
    )


def _figure(name: str, plot: str, below: str) -> str:
    return (
        f"<figure><figcaption>{escape(name)}</figcaption>{plot}"
        + (f"<p class='note'>{below}</p>" if below else "")
        + "</figure>"
    )


def _operators(tables: Sequence[Mapping[str, Any]]) -> str:
    made = ""
    for table in tables:
        first, last = table["steps"]
        rows = table["operators"][:SHOWN_OPERATORS]
        by = "self_device_ms" if any(row["self_device_ms"] for row in rows) else "self_cpu_ms"
        total = sum(row[by] for row in table["operators"]) or 1.0
        body = "".join(
            f"<tr><td><code>{escape(row['name'])}</code></td><td>{row['calls']:,}</td>"
            f"<td>{row['self_cpu_ms']:.2f}</td><td>{row['cpu_ms']:.2f}</td>"
            f"<td>{row['self_device_ms']:.2f}</td><td>{100 * row[by] / total:.1f} %</td></tr>"
            for row in rows
        )
        which = f"step {first}" if first == last else f"steps {first} to {last}"
        made += (
            f"<h3>Top operators in {which}</h3><div class='wide'><table>"
            "<tr><th>operator</th><th>calls</th><th>CPU ms, itself</th><th>with all it called</th>"
            f"<th>GPU ms</th><th>share of these</th></tr>{body}</table></div>"
        )
    if not made:
        return ""
    hint = "The trace files beside these tables, *.json.gz, open in Perfetto."
    return f"<h2>Operators</h2>{made}<p class='note'>{hint}</p>"


def _figures(verdicts: Sequence[Verdict]) -> str:
    details = next((v.outcome.details for v in verdicts if v.rule == "OverallSystemUsage"), {})
    made = ""
    for node, dimensions in details.items():
        rows = "".join(
            f"<tr><td>{escape(name)}</td>"
            + "".join(
                f"<td>{_short(found[key])}</td>" for key in ("p25", "p50", "p75", "p95", "max")
            )
            + "</tr>"
            for name, found in dimensions.items()
        )
        made += (
            f"<h3>{escape(node)}</h3><div class='wide'><table><tr><th></th><th>25 %</th>"
            f"<th>median</th><th>75 %</th><th>95 %</th><th>most</th></tr>{rows}</table></div>"
        )
    return f"<h2>Percentiles</h2>{made}" if made else ""


def _short(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.1f}"


def duration(seconds: float) -> str:
    """A length of time, for people: "3.2 s", "4 min 10 s", "2 h 5 min"."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1e3 * seconds:.1f} ms"
    whole = round(seconds)
    hours, minutes, rest = whole // 3600, whole % 3600 // 60, whole % 60
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s"
