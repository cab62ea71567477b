"""How often the debugger's rules miss an illness, and how often they alarm where there is none.

    python bench/rules.py --seeds 20

Every rule is shown small real trainings that have its illness, and must fire by a stated step;
and healthy ones of two kinds: with a smooth loss, and with the noisy loss of small batches, the
latter also with the profile "batches". Intervals are Wilson's, 95 %. The trainings and the
parameters that differ from the defaults are in tests/support/ill.py.
"""

import argparse
import statistics
import sys
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path

import torch

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "support"))

import ill

from stocktake.debugger.check import check
from stocktake.debugger.records import Record
from stocktake.measure.bootstrap import wilson

SIMILAR = "SimilarAcrossRuns"


def share(hits: int, n: int) -> str:
    """Hits of n with Wilson's interval, in percent."""
    told = wilson(hits, n)
    return f"{hits}/{n} ({100 * told.low:.0f} to {100 * told.high:.0f} %)"


def firing(record: Record, rules: Mapping, profile: str = "") -> dict[str, int | None]:
    """The first step at which each rule fired; SystemExit if one failed."""
    found = {}
    for verdict in check(record, rules, profile=profile):
        if verdict.status == "Error":
            raise SystemExit(verdict.message)
        found[verdict.rule] = verdict.first_step
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seeds", type=int, default=20)
    parser.add_argument("--first", type=int, default=100, help="seeds below 100 made the profile")
    args = parser.parse_args()
    seeds = range(args.first, args.first + args.seeds)
    torch.set_num_threads(1)
    steps, alarms = defaultdict(list), defaultdict(int)
    for seed in seeds:
        for one in ill.ILLNESSES:
            record = one.make(seed).run()
            steps[one.rule].append(firing(record, {one.rule: one.parameters})[one.rule])
        of = {kind: getattr(ill, kind)(seed).run() for kind in ("healthy", "noisy")}
        again, other = ill.healthy(seed).run(), ill.healthy(seed + 500).run()
        steps[SIMILAR].append(firing(of["healthy"], {SIMILAR: {"other_trials": other}})[SIMILAR])
        for kind, profile in (("healthy", ""), ("noisy", ""), ("noisy", "batches")):
            given = ill.FOR_THE_HEALTHY if kind == "healthy" else ill.FOR_THE_NOISY
            rules = ill.parameters(given)
            if kind == "healthy":
                rules[SIMILAR] = {"other_trials": again}
            for rule, step in firing(of[kind], rules, profile).items():
                alarms[rule, kind, profile] += step is not None
        print(f"seed {seed} done", file=sys.stderr, flush=True)
    print(
        "| rule | missed | fired at step, of those allowed | false alarms, smooth | noisy | ",
        end="",
    )
    print('noisy, profile "batches" |\n|---|---|---|---|---|---|')
    limits = {one.rule: one.within for one in ill.ILLNESSES} | {SIMILAR: 0}
    for rule, within in limits.items():
        in_time = [s for s in steps[rule] if s is not None and s <= within]
        when = (
            f"{statistics.median(in_time):g} ({min(in_time)} to {max(in_time)})" if in_time else "-"
        )
        columns = [share(len(seeds) - len(in_time), len(seeds)), f"{when}, {within}"]
        for kind in (("healthy", ""), ("noisy", ""), ("noisy", "batches")):
            is_known = (rule, *kind) in alarms
            columns.append(share(alarms[rule, *kind], len(seeds)) if is_known else "-")
        print(f"| {rule} | {' | '.join(columns)} |")


if __name__ == "__main__":
    main()
