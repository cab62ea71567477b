"""Looks of the profiler's page: the project's colours, light and dark, and one for each phase."""

from stocktake.debugger.phases import PHASES

COLOURS = ["--model", "--other", "--good", "--bad", "--p4", "--p1"]
"""For lines of several devices."""


def phase_colour(name: str) -> str:
    """The page's variable for a phase; what is in none is grey, unknown ones share a colour."""
    if name in PHASES:
        return f"--p{PHASES.index(name)}"
    return "--base" if name == "other" else "--p7"


CSS = """
:root {
  color-scheme: light dark;
  --ink: #1b232d; --soft: #5a6572; --line: #d8dde4; --paper: #fff; --wash: #f3f5f8;
  --model: #1f5fa8; --other: #a85d14; --base: #929dab; --bad: #a32a1a; --good: #2a7048;
  --p0: #c2711a; --p1: #2a9d8f; --p2: #4a8ae0; --p3: #1f4f96; --p4: #7d5fb2; --p5: #4c9a5b;
  --p6: #b5557d; --p7: #8d7f6a;
}
@media screen and (prefers-color-scheme: dark) {
  :root {
    --ink: #e3e7ed; --soft: #9ba6b4; --line: #343d49; --paper: #14181e; --wash: #1c222a;
    --model: #6fa8ee; --other: #e0a25c; --base: #6f7a88; --bad: #ff9484; --good: #7cc79a;
    --p0: #e0a25c; --p1: #4fc3b3; --p2: #86b8f7; --p3: #4a7fd1; --p4: #a78bdc; --p5: #7cc79a;
    --p6: #dd86a9; --p7: #b3a58f;
  }
}
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body {
  margin: 0; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Helvetica Neue", Arial, sans-serif;
}
main { max-width: 64rem; margin: 0 auto; padding: 2rem 1.25rem 4rem; }
h1, h2, h3 { line-height: 1.25; font-weight: 600; overflow-wrap: anywhere; }
h1 { margin: 0 0 .75rem; font-size: 1.1rem; color: var(--soft); font-weight: 500; }
h1 b { color: var(--ink); font-weight: 600; }
h2 { margin: 3rem 0 .75rem; padding-top: 1rem; border-top: 2px solid var(--ink);
  font-size: 1.35rem; }
h3 { margin: 1.5rem 0 .6rem; font-size: 1.05rem; }
p { margin: .35rem 0; max-width: 46rem; overflow-wrap: anywhere; }
.lead { font-size: clamp(1.25rem, 1rem + 1.4vw, 1.7rem); line-height: 1.35; margin: 0 0 .5rem; }
.lead b { color: var(--model); font-weight: 650; }
.soft, .note { color: var(--soft); }
.note { font-size: .8125rem; }
.nb { white-space: nowrap; margin-right: .9rem; }
.bad { color: var(--bad); }
.good { color: var(--good); }
code { font: .86em ui-monospace, SFMono-Regular, Menlo, Consolas, monospace;
  overflow-wrap: anywhere; }
i { display: inline-block; width: .7em; height: .7em; margin-right: .45em; border-radius: 2px; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; width: 100%; font-size: .9375rem;
  font-variant-numeric: tabular-nums; }
th, td { padding: .3rem .75rem .3rem 0; text-align: right; vertical-align: top;
  border-bottom: 1px solid var(--line); }
th { color: var(--soft); font-weight: 500; font-size: .8125rem; }
th:first-child, td:first-child { text-align: left; }
.wide td, .wide th { white-space: nowrap; }
.phases th:first-child { width: 38%; }
.verdicts th, .verdicts td { text-align: left; padding: .55rem 1rem .55rem 0; }
.verdicts th { color: var(--ink); font-weight: 600; font-size: .9375rem; }
.verdicts p { margin: 0 0 .2rem; }
.verdicts .word { white-space: nowrap; font-weight: 600; }
.advice { padding-left: .75rem; border-left: 3px solid var(--model); }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(100%, 24rem), 1fr));
  gap: 1.25rem 2rem; }
figure { margin: 0; min-width: 0; }
figcaption { font-size: .9375rem; font-weight: 500; margin-bottom: .25rem; }
svg { display: block; width: 100%; height: auto; }
svg text { fill: var(--soft); font-size: 11.5px; }
svg .end { text-anchor: end; } svg .mid { text-anchor: middle; } svg .start { text-anchor: start; }
svg .grid { stroke: var(--line); stroke-width: .7; }
svg .floor { stroke: var(--base); stroke-width: .8; }
svg .line { fill: none; stroke-width: 1.4; stroke-linejoin: round; }
svg .mark { stroke: var(--bad); stroke-width: 1.2; stroke-dasharray: 4 3; }
svg.shares { height: 1.6rem; margin: .5rem 0 .75rem; border-radius: 3px; }
@media (max-width: 40rem) {
  .verdicts tr { display: block; border-bottom: 1px solid var(--line); padding: .6rem 0; }
  .verdicts th, .verdicts td { display: inline-block; border: 0; padding: 0 .75rem .15rem 0; }
  .verdicts td:last-child { display: block; }
}
"""
