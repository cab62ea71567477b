"""What the debugger and the profiler cost a training: with train's defaults, and with neither.

Claim: less than 3 % of the time, for a tf_efficientnet_lite0 on photos of 112 px, batches of 32.
Each side trains in a process of its own, in alternation, on the same painted photos. Beside the
time of the loop stands the processor's, which other programs on the machine disturb less.
"""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

SIDES = {
    "neither": {"record_every": 0, "profile": False},
    "profiler": {"record_every": 0},
    "debugger": {"profile": False},
    "both": {},
}


def trained(given: argparse.Namespace, side: str) -> dict[str, float]:
    """Train as that side does; what it took."""
    from stocktake.runs.job import Job
    from stocktake.stages import worker

    settings = {
        "side_px": given.side_px,
        "batch_size": 32,
        "epochs": given.epochs,
        "weights": given.weights,
        "threads": 1,
        "workers": 1,
        **SIDES[side],
    }
    if given.record_every and "record_every" not in settings:
        settings["record_every"] = given.record_every
    with tempfile.TemporaryDirectory() as folder:
        job = Job(
            stage="train",
            settings=settings,
            inputs={"photos": str(given.run / "ingest"), "split": str(given.run / "split")},
            output=str(Path(folder) / "bench" / "train"),
        )
        run = worker.run_job(job)
        used = resource.getrusage(resource.RUSAGE_SELF)
        size = sum(
            one.stat().st_size
            for name in ("debug-output", "profiler-output", "rule-output")
            for one in (run.path / name).rglob("*")
            if one.is_file()
        )
        for line in run.lines():
            if line["level"] == "warning":
                print(line["message"], file=sys.stderr)
        return {
            "took_s": run.result()["took_s"],
            "epochs_s": sum(row["value"] for row in run.metrics() if row["name"] == "seconds"),
            "cpu_s": used.ru_utime + used.ru_stime,
            "peak_mb": used.ru_maxrss / 1024,
            "left_mb": size / 1e6,
        }


def main() -> None:
    """Train every side in turn, print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--run", type=Path, required=True, help="a run with ingest/ and split/")
    parser.add_argument("--side-px", type=int, default=112)
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--weights", default="pretrained")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--record-every", type=int, default=0)
    parser.add_argument("--sides", default=",".join(SIDES))
    parser.add_argument("--side", help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.side:
        print(json.dumps(trained(given, given.side)))
        return
    sides = given.sides.split(",")
    found: dict[str, list[dict[str, float]]] = {side: [] for side in sides}
    words = [f"--{key.replace('_', '-')}={value}" for key, value in vars(given).items() if value]
    for place in range(given.rounds):
        for side in sides if place % 2 == 0 else reversed(sides):
            command = [sys.executable, __file__, *words, "--side", side]
            made = subprocess.run(command, check=True, capture_output=True, text=True)
            found[side].append(json.loads(made.stdout.strip().splitlines()[-1]))
            print(side, found[side][-1], file=sys.stderr, flush=True)
    print(table(found))


def table(found: dict[str, list[dict[str, float]]]) -> str:
    """The sides with the medians of what they took."""
    lines = [
        "| watched by | loop s | more | processor s | more | peak MB | on disk MB |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    first = found[next(iter(found))]
    for side, rounds in found.items():
        cells = []
        for what in ("took_s", "cpu_s"):
            middle = statistics.median(one[what] for one in rounds)
            base = statistics.median(one[what] for one in first)
            cells.append(f"{middle:.1f} | {100 * (middle / base - 1):+.1f} %")
        peak = max(one["peak_mb"] for one in rounds)
        left = max(one["left_mb"] for one in rounds)
        lines.append(f"| {side} | {' | '.join(cells)} | {peak:.0f} | {left:.1f} |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
