"""How an ingest grows: time should be linear in the number of objects, memory flat.

Each size is ingested by a worker in a process of its own from SeaweedFS on the same machine, which
takes its share of the cores. Photos are small so that filling takes minutes, not hours: what is
measured is the cost of a bin beside its photo's bytes, and what a listing keeps in memory.
Larger photos cost more: bench/ingest.py.
"""

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from bucket import fill, photos, with_server
from weed import OPEN, Server

WHOLE_SET = 1_070_468
"""Objects of the Amazon Bin Image Dataset: 535,234 photos with their metadata."""
CODE = """
import json, resource, sys
from stocktake.runs.job import Job
from stocktake.stages import worker

run = worker.run_job(Job(stage="ingest", inputs={}, **json.loads(sys.argv[1])))
used = resource.getrusage(resource.RUSAGE_SELF)
with open("/proc/self/status") as status:  # unlike ru_maxrss, without what the parent had
    peak_mb = next(int(line.split()[1]) for line in status if line.startswith("VmHWM")) / 1024
print(json.dumps([run.result()["photos"], peak_mb, used.ru_utime + used.ru_stime]))
"""
"""What a worker does, and what it used."""


@dataclass(frozen=True)
class Measured:
    """One ingest."""

    objects: int
    wall_s: float
    cpu_s: float
    peak_mb: float


def ingest(server: Server, bins: int, folder: Path) -> Measured:
    """Ingest the place with that many bins in a fresh process."""
    settings = {"source": f"s3://{OPEN}/{bins}", "endpoint_url": server.url}
    job = {"settings": settings | {"anonymous": True}, "output": f"{folder}/run/ingest"}
    started = time.perf_counter()
    words = [sys.executable, "-c", CODE, json.dumps(job)]
    done = subprocess.run(words, check=True, capture_output=True, text=True)
    wall_s = time.perf_counter() - started
    taken, peak_mb, cpu_s = json.loads(done.stdout)
    assert taken == bins, f"{taken} of {bins} bins arrived"
    return Measured(objects=2 * bins, wall_s=wall_s, cpu_s=cpu_s, peak_mb=peak_mb)


def tell(found: list[Measured]) -> None:
    """Print a line for each size, and the straight lines through all."""
    print("| objects | wall s (least to most) | objects/s | ms an object | client CPU ms", end="")
    print(" | peak MB (least to most) | n |\n|--:|--:|--:|--:|--:|--:|--:|")
    for size in sorted({one.objects for one in found}):
        of_size = [one for one in found if one.objects == size]
        wall, peak = [one.wall_s for one in of_size], [one.peak_mb for one in of_size]
        middle, cpu_s = statistics.median(wall), statistics.median(one.cpu_s for one in of_size)
        print(
            f"| {size:,} | {middle:.2f} ({min(wall):.2f} to {max(wall):.2f}) | {size / middle:,.0f}"
            f" | {1000 * middle / size:.2f} | {1000 * cpu_s / size:.2f}"
            f" | {statistics.median(peak):.0f} ({min(peak):.0f} to {max(peak):.0f})"
            f" | {len(of_size)} |"
        )
    objects = np.array([one.objects for one in found], dtype=float)
    for what, unit, values in (
        ("wall time", "s", np.array([one.wall_s for one in found])),
        ("peak memory", "MB", np.array([one.peak_mb for one in found])),
    ):
        slope, start = np.polyfit(objects, values, 1)
        left = values - (slope * objects + start)
        share = 1 - float(left @ left) / float(np.sum((values - values.mean()) ** 2))
        print(
            f"\n{what}: {start:.2f} {unit} and {1e6 * slope:,.0f} {unit} a million objects"
            f" (R2 {share:.4f}); at {WHOLE_SET:,} objects {slope * WHOLE_SET + start:,.0f} {unit}"
        )


def main() -> None:
    """Fill a place of each size, ingest it, and print how it grows."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--objects", type=int, nargs="+", default=[1_000, 10_000, 100_000])
    parser.add_argument("--rounds", type=int, default=3, help="times each size is ingested")
    given = parser.parse_args()
    jpegs = photos((96, 108), 30)
    found: list[Measured] = []

    def work(server: Server) -> None:
        for objects in given.objects:
            fill(server, objects // 2, jpegs, prefix=str(objects // 2))
        for _ in range(given.rounds):
            for objects in given.objects:
                with tempfile.TemporaryDirectory() as place:
                    found.append(ingest(server, objects // 2, Path(place)))

    with tempfile.TemporaryDirectory() as made:
        with_server(Path(made) / "server", work)
    size_kb = sum(map(len, jpegs)) / len(jpegs) / 1000
    print(
        f"photos of {size_kb:.1f} kB, so that filling takes bearable time; metadata of 50 bytes\n"
    )
    tell(found)


if __name__ == "__main__":
    main()
