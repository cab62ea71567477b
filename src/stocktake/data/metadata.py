"""Metadata: the JSON beside a bin photo, checked, as a true count and the items on record."""

import json
from dataclasses import dataclass
from typing import Any

from stocktake.errors import DataError

MAX_COUNT = 100_000
"""Above this a quantity is a mistake; the largest of 535,234 known bins is 209."""
SIZES = {"height": "height_in", "length": "length_in", "width": "width_in"}
IN_INCHES = {"IN": 1.0, "inches": 1.0, "CM": 1 / 2.54, "centimeters": 1 / 2.54}
IN_POUNDS = {"pounds": 1.0, "ounces": 1 / 16, "grams": 1 / 453.59237, "kilograms": 1 / 0.45359237}


@dataclass(frozen=True, kw_only=True, slots=True)
class BinRecord:
    """What the inventory says of a bin."""

    count: int
    """EXPECTED_QUANTITY."""
    items: list[dict[str, Any]]
    """One per product, as photos/1 has them; empty where the bin is, or where they are unknown."""


def parse(text: bytes) -> BinRecord:
    """The record in a metadata file.

    Items whose sum differs from the count are kept as they are; `facts` lists such bins.

    Raises:
        DataError: if it is not JSON of the bucket's form, or a quantity or size is absurd.
    """
    try:
        found = json.loads(text, object_pairs_hook=_once, parse_constant=_no_constant)
    except (ValueError, RecursionError) as err:
        raise DataError(f"metadata is not JSON ({' '.join(str(err).split())[:200]})") from err
    if not isinstance(found, dict):
        raise DataError(f"metadata is {_kind(found)}, expected an object with EXPECTED_QUANTITY")
    for key in ("EXPECTED_QUANTITY", "BIN_FCSKU_DATA"):
        if key not in found:
            raise DataError(f"metadata has no {key}, only {', '.join(sorted(found)[:5]) or 'none'}")
    products = found["BIN_FCSKU_DATA"]
    if not isinstance(products, dict):
        raise DataError(f"BIN_FCSKU_DATA is {_kind(products)}, expected an object by ASIN")
    count = _quantity(found["EXPECTED_QUANTITY"], "EXPECTED_QUANTITY")
    return BinRecord(count=count, items=[_item(asin, item) for asin, item in products.items()])


def _item(asin: str, found: Any) -> dict[str, Any]:
    where = f"item {asin[:40]!r}"
    if not isinstance(found, dict):
        raise DataError(f"{where} is {_kind(found)}, expected an object")
    if found.get("asin", asin) != asin:
        raise DataError(f"{where} says that its asin is {found['asin']!r}")
    if "quantity" not in found:
        raise DataError(f"{where} has no quantity")
    row: dict[str, Any] = {
        "asin": _text(asin, where),
        "name": _text(found.get("name"), f"{where} name"),
        "quantity": _quantity(found["quantity"], f"{where} quantity"),
    }
    for key, column in SIZES.items():
        row[column] = _measure(found.get(key), IN_INCHES, f"{where} {key}")
    row["weight_lb"] = _measure(found.get("weight"), IN_POUNDS, f"{where} weight")
    return row


def _quantity(value: Any, where: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int):
        raise DataError(f"{where} is {_kind(value)}, expected a whole number")
    if not 0 <= value <= MAX_COUNT:
        raise DataError(f"{where} is {value}, expected 0 to {MAX_COUNT}")
    return value


def _measure(value: Any, units: dict[str, float], where: str) -> float | None:
    """A size or weight in our unit; empty where the record has none."""
    if value is None:
        return None
    if not isinstance(value, dict) or not {"unit", "value"} <= value.keys():
        raise DataError(f"{where} is {_kind(value)}, expected an object with unit and value")
    unit, amount = value["unit"], value["value"]
    if amount is None:
        return None
    if not isinstance(unit, str) or unit not in units:
        raise DataError(f"{where} has unit {unit!r}, expected one of {', '.join(units)}")
    if isinstance(amount, bool) or not isinstance(amount, (int, float)):
        raise DataError(f"{where} has value {amount!r}, expected a number")
    if not 0 <= amount < MAX_MEASURE:
        raise DataError(f"{where} has value {amount}, expected 0 or more and less than a million")
    return float(amount) * units[unit]


MAX_MEASURE = 1e6


def _text(value: Any, where: str) -> str | None:
    if value is None:
        return None
    if not isinstance(value, str):
        raise DataError(f"{where} is {_kind(value)}, expected text")
    try:
        value.encode()
    except UnicodeEncodeError as err:  # a lone surrogate, written as an escape in the JSON
        raise DataError(f"{where} is no valid text ({err.reason})") from err
    return value


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key '{twice}' is there twice")
    return made


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not a number")


def _kind(value: Any) -> str:
    names = {dict: "an object", list: "a list", str: "text", bool: "true or false"}
    return names.get(type(value), repr(value)[:40])
