"""Plots: one quiet style, as SVG text that takes the page's colours and font.

Axes of shares and amounts start at 0, intervals are drawn wherever there are some, and each plot
can tell in words what it shows. Drawn with matplotlib's Figure itself: no global figure, no state.
"""

import io
import re
from collections.abc import Callable, Sequence
from math import isfinite
from typing import TYPE_CHECKING, Any

from stocktake.schema.cards import Accepted, CountRow, ReliabilityBin, Slice

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

SIZE_IN = (4.4, 2.9)
"""Drawn for about 440 px, so text is readable at a phone's 330 px and not huge at 520 px."""
TEXT_PT = 8.5

# Stand-ins that no plot would use by itself: the page's CSS decides what they look like, so that
# one drawing serves light and dark.
INK, SOFT, LINE, MODEL, OTHER, BASE = (f"#0{i}0{i}0{i}" for i in range(1, 7))
VARIABLES = {
    INK: "--ink", SOFT: "--soft", LINE: "--line",
    MODEL: "--model", OTHER: "--other", BASE: "--base",
}  # fmt: skip

STYLE: dict[str, Any] = {
    "svg.fonttype": "none",
    "font.family": "sans-serif",
    "font.size": TEXT_PT,
    "text.color": INK,
    "axes.labelcolor": SOFT,
    "axes.edgecolor": LINE,
    "axes.linewidth": 0.8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.axisbelow": True,
    "xtick.color": LINE,
    "ytick.color": LINE,
    "xtick.labelcolor": SOFT,
    "ytick.labelcolor": SOFT,
    "xtick.major.size": 3,
    "ytick.major.size": 0,
    "grid.color": LINE,
    "grid.linewidth": 0.6,
    "legend.frameon": False,
    "legend.fontsize": TEXT_PT,
    "figure.facecolor": "none",
    "axes.facecolor": "none",
    "savefig.facecolor": "none",
}

SMALL_IN = (3.1, 2.3)
"""For plots that stand three in a row."""

LABELLED_BARS = 13
"""Above this many bars numbers on them would touch."""


def bars(
    name: str,
    amounts: dict[str, int],
    *,
    xlabel: str,
    told: str,
    ylabel: str = "photos",
    size_in: tuple[float, float] = SIZE_IN,
) -> str:
    """Bars with their numbers on top: `amounts` by label, in order."""

    def draw(axes: "Axes") -> None:
        drawn = axes.bar(list(amounts), list(amounts.values()), color=MODEL, width=0.72)
        if len(amounts) <= LABELLED_BARS * size_in[0] / SIZE_IN[0]:
            axes.bar_label(drawn, fmt="{:,.0f}", padding=2, color=SOFT, fontsize=TEXT_PT - 1)
        if len(amounts) > LABELLED_BARS:
            every = -(-len(amounts) // LABELLED_BARS)
            axes.set_xticks(range(0, len(amounts), every))
        axes.set(xlabel=xlabel, ylabel=ylabel)
        axes.set_ylim(0, 1.1 * max(amounts.values(), default=1) or 1)
        if len(amounts) == 1:
            axes.set_xlim(-2, 2)  # a bar, not a wall
        _thousands(axes)

    return _draw(name, draw, told=told, size_in=size_in)


def histogram(
    name: str, edges: Sequence[float], photos: Sequence[int], *, xlabel: str, told: str
) -> str:
    """Bars of equal width between `edges`, in a small plot; equal values are one bar."""
    if edges[0] == edges[-1]:
        return bars(
            name, {f"{edges[0]:g}": sum(photos)}, xlabel=xlabel, told=told, size_in=SMALL_IN
        )

    def draw(axes: "Axes") -> None:
        axes.stairs(photos, edges, fill=True, color=MODEL)
        axes.set(xlabel=xlabel, ylabel="photos")
        axes.set_ylim(0)
        _thousands(axes)

    return _draw(name, draw, told=told, size_in=SMALL_IN)


Series = dict[str, list[tuple[float, float]]]
"""(epoch, value) points by the words of the legend."""


def curves(
    name: str, series: Series, *, ylabel: str, best: float | None, told: str, share: bool = False
) -> str:
    """Lines over epochs, the kept epoch marked; shares get the whole axis from 0 to 1."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        for label, points in series.items():
            steps, values = zip(*points, strict=True)
            axes.plot(
                steps, values, color=BASE if label == "train" else MODEL, marker="o",
                markersize=3.2, linewidth=1.6, label=label,
            )  # fmt: skip
        if best is not None:
            axes.axvline(best, color=OTHER, linewidth=1, linestyle=(0, (3, 3)), label="kept")
        axes.set(xlabel="epoch", ylabel=ylabel)
        finite = [value for points in series.values() for _, value in points if isfinite(value)]
        axes.set_ylim(0, 1 if share else 1.08 * max(finite, default=1) or 1)
        if share:
            axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        _legend(axes)

    return _draw(name, draw, told=told)


def by_count(name: str, rows: Sequence[CountRow], *, told: str) -> str:
    """Accuracy by true count with its interval, guessing by train frequency beside it."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        counts = [row.count for row in rows]
        guessed = [row.baselines.get("frequency", {}).get("accuracy", 0.0) for row in rows]
        axes.bar(counts, guessed, color=BASE, alpha=0.45, width=0.62, label="guessing")
        _dots(axes, counts, [row.accuracy for row in rows], label="the model")
        axes.set(xlabel="true count", ylabel="counted right")
        axes.set_ylim(0, 1.02)
        axes.yaxis.set_major_formatter(PercentFormatter(1, decimals=0))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=LABELLED_BARS, integer=True))
        _legend(axes)

    return _draw(name, draw, told=told)


def reliability(
    name: str, before: Sequence[ReliabilityBin], after: Sequence[ReliabilityBin], *, told: str
) -> str:
    """How often answers of each confidence are right; on the diagonal they are honest."""

    def draw(axes: "Axes", below: "Axes") -> None:
        from matplotlib.ticker import PercentFormatter

        axes.plot([0, 1], [0, 1], color=BASE, linewidth=1, linestyle=(0, (3, 3)))
        confidence = [one.confidence for one in before]
        accuracy = [one.accuracy.value for one in before]
        axes.plot(
            confidence, accuracy, "o", color=OTHER, markersize=3.6, markerfacecolor="none",
            label="before calibration",
        )  # fmt: skip
        _dots(axes, [o.confidence for o in after], [o.accuracy for o in after], label="after")
        axes.set(ylabel="counted right", ylim=(0, 1.02), xlim=(0, 1.01))
        axes.tick_params(labelbottom=False)
        _legend(axes)
        middles, widths = [(o.low + o.high) / 2 for o in after], [o.high - o.low for o in after]
        photos = [one.accuracy.n for one in after]
        below.bar(middles, photos, width=[0.86 * width for width in widths], color=MODEL, alpha=0.5)
        below.set(xlabel="confidence stated", ylabel="photos")
        below.set_yticks([0, max(photos, default=1)])
        for one in (axes.yaxis, below.xaxis):
            one.set_major_formatter(PercentFormatter(1, decimals=0))

    return _draw(name, draw, told=told, heights=(3.4, 1), size_in=(SIZE_IN[0], 3.9))


def selective(name: str, rows: Sequence[Accepted], *, told: str) -> str:
    """How much is right among the surest answers, by the share of them that is accepted."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import PercentFormatter

        shares = [row.share for row in rows]
        near = [row.within_one.value for row in rows]
        axes.plot(shares, near, color=OTHER, linewidth=1.4, label="right or off by one")
        _dots(axes, shares, [row.accuracy for row in rows], label="counted right")
        axes.set(xlabel="share of answers accepted, the surest first", ylabel="of these")
        axes.set(xlim=(0, 1.03), ylim=(0, 1.02))
        for one in (axes.xaxis, axes.yaxis):
            one.set_major_formatter(PercentFormatter(1, decimals=0))
        _legend(axes)

    return _draw(name, draw, told=told)


ROW_IN = 0.19
"""Height of a line of text in a plot with names down its side."""


def slices(name: str, rows: Sequence[Slice], *, metric: str, whole: float, told: str) -> str:
    """A figure by slice with its interval, trait by trait; those apart from the whole stand out."""
    names = list(dict.fromkeys(row.name for row in rows))
    lines: list[Slice | str] = []
    for one in names:
        lines += [one, *(row for row in rows if row.name == one)]

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator, PercentFormatter

        for place, row in enumerate(lines):
            if isinstance(row, str):
                continue
            figure = row.metrics[metric]
            is_apart = not row.is_few and not figure.low <= whole <= figure.high
            colour = BASE if row.is_few else OTHER if is_apart else MODEL
            axes.errorbar(
                [figure.value], [place], xerr=[[figure.value - figure.low],
                [figure.high - figure.value]], fmt="o", color=colour, markersize=4.2,
                elinewidth=1.3, markerfacecolor="none" if row.is_few else colour, clip_on=False,
            )  # fmt: skip
        axes.axvline(whole, color=BASE, linewidth=1, linestyle=(0, (3, 3)))
        axes.grid(visible=False, axis="y")
        axes.grid(axis="x")
        axes.set_ylim(len(lines) - 0.4, -0.6)
        axes.set_yticks(range(len(lines)), [_line_of(row) for row in lines])
        for row, label in zip(lines, axes.get_yticklabels(), strict=True):
            label.set_color(INK if isinstance(row, str) else SOFT)
        axes.tick_params(axis="y", pad=7)  # dots at 0 stand clear of the names
        axes.xaxis.set_major_locator(MaxNLocator(nbins=5))
        if metric == "rmse":
            axes.set(xlabel="RMSE, in things")
            axes.set_xlim(0)
        else:
            axes.set(xlabel="counted right", xlim=(0, 1))
            axes.xaxis.set_major_formatter(PercentFormatter(1, decimals=0))

    return _draw(name, draw, told=told, size_in=(SIZE_IN[0], 0.6 + ROW_IN * len(lines)))


def _line_of(row: Slice | str) -> str:
    return row if isinstance(row, str) else f"{row.label}, n {row.n:,}"


def trials(
    name: str, values: Sequence[tuple[int, float]], *, metric: str, best: int | None, told: str
) -> str:
    """Each trial's value in order, the best one marked."""

    def draw(axes: "Axes") -> None:
        from matplotlib.ticker import MaxNLocator

        for number, value in values:
            is_best = number == best
            axes.plot(
                number, value, "o", color=MODEL if is_best else BASE, markersize=6 if is_best else 4
            )
        axes.set(xlabel="trial", ylabel=metric)
        highest, lowest = max(value for _, value in values), min(value for _, value in values)
        axes.set_ylim(min(1.12 * lowest, 0), max(1.12 * highest, 0) or 1)
        axes.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))

    return _draw(name, draw, told=told)


def _dots(axes: "Axes", places: Sequence[float], shares: Sequence[Any], *, label: str) -> None:
    """Shares as dots with their intervals as whiskers."""
    values = [share.value for share in shares]
    down = [share.value - share.low for share in shares]
    up = [share.high - share.value for share in shares]
    axes.errorbar(
        places, values, yerr=[down, up], fmt="o", color=MODEL, markersize=4.2, elinewidth=1.3,
        label=label, clip_on=False,
    )  # fmt: skip


def _legend(axes: "Axes") -> None:
    """Above the plot, where it hides no point."""
    axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1.0), ncols=3, borderaxespad=0.2, handlelength=1.4,
        columnspacing=1.4, labelcolor=SOFT,
    )  # fmt: skip


def _thousands(axes: "Axes") -> None:
    from matplotlib.ticker import MaxNLocator, StrMethodFormatter

    axes.yaxis.set_major_locator(MaxNLocator(nbins=5, integer=True))
    axes.yaxis.set_major_formatter(StrMethodFormatter("{x:,.0f}"))


def _draw(
    name: str,
    draw: Callable[..., None],
    *,
    told: str,
    heights: Sequence[float] = (1,),
    size_in: tuple[float, float] = SIZE_IN,
) -> str:
    """Panels above each other, drawn and turned into inline SVG; `name` is unique on the page."""
    import matplotlib
    from matplotlib.figure import Figure

    style: Any = STYLE | {"svg.hashsalt": name}
    with matplotlib.rc_context(style):
        figure = Figure(figsize=size_in, layout="constrained")
        panels = figure.subplots(
            len(heights), 1, sharex=True, squeeze=False, gridspec_kw={"height_ratios": heights}
        )[:, 0]
        for axes in panels[:1]:
            axes.grid(axis="y")
        draw(*panels)
        return _inline(name, figure, told)


def _inline(name: str, figure: "Figure", told: str) -> str:
    made = io.StringIO()
    figure.savefig(made, format="svg", metadata={"Date": None, "Creator": None})
    text = made.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r"<style[^>]*>.*?</style>", "", text, flags=re.DOTALL)  # it is for `*`: the page
    text = re.sub(r"<!--.*?-->", "", text, flags=re.DOTALL)
    text = _own_ids(name, text.replace("xlink:href", "href"))  # plain since SVG 2
    for stand_in, variable in VARIABLES.items():
        text = text.replace(stand_in, f"var({variable})")
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = re.sub(r"font-family: [^;\"]*;? ?", "", text)  # the family is the page's
    box = re.search(r'viewBox="[^"]*"', text)
    assert box, "matplotlib writes a viewBox"
    opening = f'<svg {box[0]} role="img" aria-label="{_attribute(told)}"'
    text = re.sub(r"<svg[^>]*>", opening.replace("\\", r"\\") + ">", text, count=1)
    return re.sub(r"\s*\n\s*", "\n", text).strip()


def _own_ids(name: str, text: str) -> str:
    """Drop ids that nothing refers to; begin the others with the plot's name."""
    used = set(re.findall(r"(?:url\(#|href=\"#)([^)\"]+)", text))
    text = re.sub(r' id="([^"]+)"', lambda m: f' id="{name}-{m[1]}"' if m[1] in used else "", text)
    return re.sub(r"(url\(#|href=\"#)([^)\"]+)", rf"\g<1>{name}-\g<2>", text)


def _attribute(text: str) -> str:
    """Text that is safe inside a double-quoted attribute."""
    for sign, entity in (("&", "&amp;"), ('"', "&quot;"), ("<", "&lt;"), (">", "&gt;")):
        text = text.replace(sign, entity)
    return text
