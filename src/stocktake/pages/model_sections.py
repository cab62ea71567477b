"""Model sections: how the search and the training went."""

import math
from collections.abc import Iterable, Mapping
from typing import Any

from stocktake.pages import page, plots
from stocktake.pages.data_sections import read_json
from stocktake.pages.standing import Stages
from stocktake.pages.words import number, percent

TRIALS_SHOWN = 40
KEPT_FOR = {
    "val_loss": "with the lowest validation loss",
    "val_accuracy": "with the most validation photos right",
    "epoch": "the last one",
}
"""Why the kept epoch is the one that is kept, by train.better_by."""


def training(stages: Stages) -> dict[str, Any] | None:
    """Curves and figures of training, as far as it came; None before its first epoch."""
    stage = stages.get("train")
    if stage is None or not stage.info:
        return None
    result = stage.run.result() if stage.is_done else None
    by_name = curves_of(stage.run.metrics(), last=result["epochs"] if result else None)
    if not by_name:
        return None
    best = float(result["best_epoch"]) if result else None
    drawn = []
    for what, title in (("loss", "loss"), ("accuracy", "counted right")):
        series = {
            word: by_name[name]
            for word, name in (("train", f"train_{what}"), ("validation", f"val_{what}"))
            if by_name.get(name)
        }
        if not series:
            continue
        is_share = what == "accuracy"
        told = _told(title, series, is_share=is_share)
        svg = plots.curves(
            f"curve-{what}", series, ylabel=title, best=best, told=told, share=is_share
        )
        drawn.append({"svg": page.safe(svg), "told": told})
    return {
        "result": result,
        "settings": stage.run.settings(),
        "kept_for": KEPT_FOR[stage.run.settings().get("better_by", "val_loss")],
        "plots": drawn,
        "val_photos": _val_photos(stages),
        "seconds": sum(value for _, value in by_name.get("seconds", [])),
    }


def curves_of(rows: Iterable[Mapping[str, Any]], *, last: int | None) -> plots.Series:
    """(epoch, value) points by metric; of an epoch done twice the later value.

    Args:
        rows: lines of metrics.jsonl.
        last: epochs of the attempt that counts; None for all there are.
    """
    found: dict[str, dict[int, float]] = {}
    for row in rows:
        if last is None or row["step"] <= last:
            found.setdefault(str(row["name"]), {})[int(row["step"])] = float(row["value"])
    return {
        name: [(float(step), value) for step, value in sorted(points.items())]
        for name, points in found.items()
    }


def _told(title: str, series: plots.Series, *, is_share: bool) -> str:
    word = percent if is_share else number
    ends = [f"{name} {word(points[-1][1])}" for name, points in series.items()]
    return f"{title.capitalize()} by epoch; at the last one {', '.join(ends)}."


def _val_photos(stages: Stages) -> int | None:
    photos = stages["split"].figure("photos_by_fold") if "split" in stages else None
    return photos.get("val") if isinstance(photos, Mapping) else None


def tuning(stages: Stages) -> dict[str, Any] | None:
    """Trials, as far as the search came, the best one marked; None before the first."""
    stage = stages.get("tune")
    if stage is None or not stage.artifact("tune.json").exists():
        return None
    found = read_json(stage.artifact("tune.json"), "tune")
    trials = found["trials"]
    if not trials:
        return None
    best = found["best"]["number"] if found["best"] else None
    values = [
        (trial["number"], trial["value"])
        for trial in trials
        if trial["value"] is not None and math.isfinite(trial["value"])
    ]
    aim = {"minimize": "lowest", "maximize": "highest"}[found["direction"]]
    told = f"{found['metric']} of {len(values)} trials; the {aim} is best" + (
        f": trial {best}." if best is not None else "."
    )
    plot = ""
    if len(values) > 1:
        plot = plots.trials("trials", values, metric=found["metric"], best=best, told=told)
    return {
        "found": found,
        "aim": aim,
        "best": best,
        "params": list(dict.fromkeys(name for trial in trials for name in trial["params"])),
        "trials": _shown(trials, best),
        "left_out": max(len(trials) - TRIALS_SHOWN, 0),
        "plot": page.safe(plot),
        "told": told,
        "n": len(trials),
        "settings": stage.run.settings(),
    }


def _shown(trials: list[dict[str, Any]], best: int | None) -> list[dict[str, Any]]:
    """The first trials, and the best one if it comes later."""
    later = [trial for trial in trials[TRIALS_SHOWN:] if trial["number"] == best]
    return trials[: TRIALS_SHOWN - len(later)] + later
