"""Run sections: how the stages went, on what machine, with which settings."""

from typing import Any

from stocktake.pages.standing import ORDER, Stages

RATES = {
    "train": ("photos_per_s", "photos/s"),
    "score": ("photos_per_s", "photos/s"),
    "predict": ("photos_per_s", "photos/s"),
    "serve": ("mean_ms", "ms a photo"),
}
"""Figure in a stage's result that tells its speed, and its unit."""


def timings(stages: Stages) -> dict[str, Any]:
    """One row per stage: status, time, speed, fingerprint."""
    taken = {name: stage.seconds or 0.0 for name, stage in stages.items()}
    longest = max(taken.values(), default=0.0)
    rows = []
    for stage in stages.values():
        rows.append(
            {
                "name": stage.name,
                "status": stage.status,
                "outdated": stage.outdated,
                "seconds": stage.seconds,
                "share": taken[stage.name] / longest if longest else 0.0,
                "speed": _speed(stages, stage.name),
                "attempts": stage.info.get("attempts", 1),
                "fingerprint": stage.fingerprint,
            }
        )
    return {
        "rows": rows,
        "total": sum(taken.values()),
        "missing": [name for name in ORDER if name not in stages],
    }


def _speed(stages: Stages, name: str) -> dict[str, Any] | None:
    if name not in RATES:
        return None
    key, unit = RATES[name]
    value = stages[name].figure(key)
    return None if value is None else {"value": value, "unit": unit}


def machine(stages: Stages) -> dict[str, Any] | None:
    """The machines and library versions, each with the stages that ran on it."""
    blocks: list[dict[str, Any]] = []
    for stage in stages.values():
        about = {"machine": stage.info.get("machine"), "versions": stage.info.get("versions")}
        if not about["machine"] and not about["versions"]:
            continue
        same = [block for block in blocks if block["about"] == about]
        if same:
            same[0]["stages"].append(stage.name)
        else:
            blocks.append({"about": about, "stages": [stage.name]})
    return {"blocks": blocks} if blocks else None


def warnings(stages: Stages) -> dict[str, Any] | None:
    """What the stages warned of; None if nothing."""
    rows = [(stage.name, text) for stage in stages.values() for text in stage.warnings]
    return {"rows": rows} if rows else None


def settings(stages: Stages) -> dict[str, Any]:
    """Every setting of every stage, resolved."""
    return {"rows": [(stage.name, _settings_of(stages, stage.name)) for stage in stages.values()]}


def _settings_of(stages: Stages, name: str) -> dict[str, Any] | None:
    """A stage's settings; None if its file is damaged, which costs only its table."""
    try:
        return stages[name].run.settings()
    except (OSError, ValueError, TypeError):
        return None
