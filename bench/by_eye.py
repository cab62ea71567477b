"""What somebody who looks at the photos counts, beside the inventory record: a hint at the ceiling.

`draw` takes photos of counts 1-5 at random, in shares as they come, and puts six on a sheet with
their numbers and nothing else. Whoever looks writes a line for each: number, count, and "sure" or
"unsure". `judge` holds the lines to the record. Labels stay closed until all lines are written.

    python bench/by_eye.py draw --real FOLDER --sheets SHEETS
    python bench/by_eye.py judge --real FOLDER --sheets SHEETS --counted FILE
"""

import argparse
import json
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from stocktake.measure import bootstrap, metrics

COLUMNS, ROWS = 3, 2
CELL_PX = 512
LINE_PX = 36
RESAMPLES = 2000
ORDER = "order.json"


def record_of(real: Path, photo_id: str) -> int:
    """The count on the inventory record."""
    record = json.loads((real / "metadata" / f"{photo_id}.json").read_text())
    return int(record["EXPECTED_QUANTITY"])


def draw(real: Path, sheets: Path, photos: int, seed: int) -> None:
    """Write the sheets, and the order of the ids on them."""
    known = sorted(path.stem for path in (real / "metadata").glob("*.json"))
    known = [photo_id for photo_id in known if 1 <= record_of(real, photo_id) <= 5]
    chosen = Random(seed).sample(known, photos)
    sheets.mkdir(parents=True, exist_ok=True)
    (sheets / ORDER).write_text(json.dumps(chosen))
    font = ImageFont.load_default(size=28)
    for start in range(0, photos, COLUMNS * ROWS):
        sheet = Image.new("RGB", (COLUMNS * CELL_PX, ROWS * (CELL_PX + LINE_PX)), "white")
        pen = ImageDraw.Draw(sheet)
        for place, photo_id in enumerate(chosen[start : start + COLUMNS * ROWS]):
            left = place % COLUMNS * CELL_PX
            top = place // COLUMNS * (CELL_PX + LINE_PX)
            photo = Image.open(real / "bin-images" / f"{photo_id}.jpg").convert("RGB")
            scale = CELL_PX / max(photo.size)
            size = (round(photo.width * scale), round(photo.height * scale))
            sheet.paste(photo.resize(size, Image.Resampling.LANCZOS), (left, top + LINE_PX))
            pen.text((left + 8, top + 2), f"{start + place + 1}", fill="black", font=font)
        sheet.save(sheets / f"sheet-{start // (COLUMNS * ROWS) + 1:02}.png")
    print(f"{photos} photos on sheets in {sheets}")


def judge(real: Path, sheets: Path, counted: Path) -> None:
    """Print how often the counts are those of the record."""
    chosen = json.loads((sheets / ORDER).read_text())
    lines = [line.split() for line in counted.read_text().splitlines() if line.strip()]
    said = {int(number): (int(count), word == "sure") for number, count, word in lines}
    missing = sorted(set(range(1, len(chosen) + 1)) - set(said))
    if missing:
        raise SystemExit(f"{counted} lacks the numbers {missing}")
    counts = np.array([record_of(real, photo_id) for photo_id in chosen])
    seen = np.array([said[place + 1][0] for place in range(len(chosen))])
    sure = np.array([said[place + 1][1] for place in range(len(chosen))])
    print("| photos | n | as recorded | within one | RMSE | fewer seen | more seen |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    for name, rows in (("all", sure | True), ("sure", sure), ("unsure", ~sure)):
        if not rows.any():
            continue
        off = seen[rows] - counts[rows]
        statistics = {
            "right": metrics.mean_of((off == 0) * 1.0),
            "near": metrics.mean_of((abs(off) <= 1) * 1.0),
            "rmse": metrics.root_of(off**2.0),
        }
        each = np.array(chosen)[rows]
        e = bootstrap.estimates(statistics, each, resamples=RESAMPLES, seed=0)
        shares = " | ".join(
            f"{100 * e[key].value:.1f} % ({100 * e[key].low:.1f} to {100 * e[key].high:.1f})"
            for key in ("right", "near")
        )
        root = f"{e['rmse'].value:.2f} ({e['rmse'].low:.2f} to {e['rmse'].high:.2f})"
        print(
            f"| {name} | {rows.sum()} | {shares} | {root} |"
            f" {100 * (off < 0).mean():.0f} % | {100 * (off > 0).mean():.0f} % |"
        )
    for count in range(1, 6):
        rows = counts == count
        right = 100 * (seen[rows] == count).mean()
        print(
            f"record {count}: n = {rows.sum()}, as recorded {right:.0f} %,"
            f" seen on average {seen[rows].mean():.2f}"
        )


def main() -> None:
    """Draw the sheets, or judge what was counted on them."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("what", choices=["draw", "judge"])
    parser.add_argument("--real", type=Path, required=True, help="bin-images/ and metadata/")
    parser.add_argument("--sheets", type=Path, required=True)
    parser.add_argument("--photos", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--counted", type=Path, help="lines of number, count, sure or unsure")
    asked = parser.parse_args()
    if asked.what == "draw":
        draw(asked.real, asked.sheets, asked.photos, asked.seed)
    else:
        judge(asked.real, asked.sheets, asked.counted)


if __name__ == "__main__":
    main()
