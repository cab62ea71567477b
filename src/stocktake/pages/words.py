"""Words: numbers as people read them; every filter of the templates."""

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

MISSING = "–"


def percent(value: float | None, digits: int = 1) -> str:
    """0.523 as 52.3%."""
    return MISSING if value is None else f"{value:.{digits}%}"


def points(value: float) -> str:
    """A gain of shares, 0.123, as +12.3."""
    return f"{100 * value:+.1f}".replace("-", "−")


def number(value: float | None, digits: int = 3) -> str:
    """A figure with so many digits that count: 0.93, 12.5, 1,204."""
    if value is None:
        return MISSING
    if float(value).is_integer() and abs(value) < 1e15:
        return f"{int(value):,}"
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    text = f"{value:.{digits}g}"
    if "e" in text:
        mantissa, exponent = text.split("e")
        return f"{mantissa}e{int(exponent)}"
    return text


def fixed(value: float | None, digits: int = 2) -> str:
    """A figure with that many digits behind the point, so that a column of them lines up."""
    return MISSING if value is None else f"{value:,.{digits}f}".replace("-", "−")


def between(estimate: Any, kind: str = "number", digits: int = 2) -> str:
    """An estimate's interval: 0.91 to 0.99, or with kind percent 47.5 to 57.1%."""
    if kind == "percent":
        return f"{100 * estimate.low:.1f} to {percent(estimate.high)}"
    if kind == "fixed":
        return f"{fixed(estimate.low, digits)} to {fixed(estimate.high, digits)}"
    return f"{number(estimate.low)} to {number(estimate.high)}"


def seconds(value: float | None) -> str:
    """A duration: 0.4 s, 12 s, 3 min 20 s, 2 h 05 min."""
    if value is None:
        return MISSING
    if value < 9.95:
        return f"{value:.1f} s"
    whole = round(value)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02d} min"


def size(value: float | None) -> str:
    """A size in bytes: 640 B, 58 kB, 1.2 GB (thousands, as disks are sold)."""
    if value is None:
        return MISSING
    for unit in ("B", "kB", "MB", "GB"):
        if value < 999.5 or unit == "GB":
            return f"{number(value)} {unit}"
        value /= 1000
    raise AssertionError("the last unit takes everything")


def moment(value: float | None) -> str:
    """A Unix time as 2026-11-23 14:05 UTC."""
    if value is None:
        return MISSING
    try:
        return datetime.fromtimestamp(value, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (ValueError, OverflowError, OSError):  # no time of this era: a damaged file
        return MISSING


def part(value: Any) -> str:
    """A part as set: its name, or name (lr 0.001)."""
    if not isinstance(value, Mapping):
        return brief(value)
    options = [f"{key} {brief(inner)}" for key, inner in value.items() if key != "name"]
    name = str(value.get("name", ""))
    if not name:
        return ", ".join(options)
    return f"{name} ({', '.join(options)})" if options else name


def brief(value: Any) -> str:
    """Any plain value in a table cell."""
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: MISSING}[value]
    if isinstance(value, int):  # a batch of 1024 is not 1,024
        return str(value)
    if isinstance(value, float):
        return number(value, 4)
    if isinstance(value, Mapping):
        return part(value)
    if isinstance(value, list | tuple):
        return ", ".join(brief(inner) for inner in value)
    return str(value)


FILTERS: dict[str, Callable[..., str]] = {
    "percent": percent,
    "points": points,
    "number": number,
    "fixed": fixed,
    "between": between,
    "seconds": seconds,
    "size": size,
    "moment": moment,
    "part": part,
    "brief": brief,
}
