"""How many bin photos a second are painted by one process and by two, in alternation.

Claim: 100 photos a second or more on two cores, at ABID's sizes. Beside the wall clock stands the
processor time per photo of painter and processes together, which a busy machine stretches less.
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

from stocktake.bins import painter
from stocktake.runs import machine

ROUNDS = 5
PHOTOS = 400
SIDES = (1, 2)


def measure(processes: int, seed: int) -> tuple[float, float]:
    """Photos a second and processor milliseconds a photo of one painting, starts included."""
    with tempfile.TemporaryDirectory() as folder:
        before, started = os.times(), time.perf_counter()
        painter.paint(Path(folder), painter.Order(photos=PHOTOS, seed=seed), processes=processes)
        seconds, after = time.perf_counter() - started, os.times()
    busy = sum(after[:4]) - sum(before[:4])  # ours and our ended children's, user and system
    return PHOTOS / seconds, 1000 * busy / PHOTOS


def main() -> None:
    """Alternate the numbers of processes and print the median and the range of each."""
    found: dict[int, list[tuple[float, float]]] = {processes: [] for processes in SIDES}
    for seed in range(ROUNDS):
        for processes in SIDES:
            found[processes].append(measure(processes, seed))
    cpus, load = machine.cores(), os.getloadavg()[0]
    print(f"{PHOTOS} photos a round, {ROUNDS} rounds, {cpus} cores, load {load:.1f} at the end\n")
    print("| processes | photos/s | min | max | CPU ms a photo | min | max |")
    print("|--:|--:|--:|--:|--:|--:|--:|")
    for processes, rounds in found.items():
        cells = []
        for values in zip(*rounds, strict=True):
            cells += [statistics.median(values), min(values), max(values)]
        print(f"| {processes} | " + " | ".join(f"{value:.1f}" for value in cells) + " |")


if __name__ == "__main__":
    main()
