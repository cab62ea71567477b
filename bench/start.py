"""How long `stocktake --help` takes, beside a bare interpreter, in alternation.

Claim: under 0.3 s, without torch loaded (the latter is a test: tests/contract/test_house.py).
"""

import statistics
import subprocess
import sys
import time

ROUNDS = 20
SIDES = {
    "python -c pass": [sys.executable, "-c", "pass"],
    "stocktake --help": [sys.executable, "-m", "stocktake", "--help"],
    "stocktake split --help": [sys.executable, "-m", "stocktake", "split", "--help"],
}


def seconds(command: list[str]) -> float:
    """Wall time of one run of a command, seconds."""
    started = time.perf_counter()
    subprocess.run(command, capture_output=True, check=True)
    return time.perf_counter() - started


def main() -> None:
    """Alternate the commands and print the median and the range of each."""
    times: dict[str, list[float]] = {name: [] for name in SIDES}
    for _ in range(ROUNDS):
        for name, command in SIDES.items():
            times[name].append(seconds(command))
    print("| command | median ms | min ms | max ms | n |\n|---|--:|--:|--:|--:|")
    for name, found in times.items():
        ms = [1000 * value for value in found]
        middle, low, high = statistics.median(ms), min(ms), max(ms)
        print(f"| `{name}` | {middle:.0f} | {low:.0f} | {high:.0f} | {len(ms)} |")


if __name__ == "__main__":
    main()
