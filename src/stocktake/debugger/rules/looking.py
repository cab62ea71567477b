"""How rules look at a view: which tensors, how they say what they found. Holds no rule itself."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from stocktake.debugger.records import Row, View
from stocktake.debugger.rules import Finding

Words = str | Iterable[str]
Floats = NDArray[np.float64]


def found(view: View, tensor: str, message: str, **evidence: float) -> Finding:
    """A finding at the view's step."""
    return Finding(
        step=view.step,
        mode=view.mode,
        tensor=tensor,
        message=message,
        evidence=evidence,
        worker=view.worker,
    )


def words(given: Words) -> list[str]:
    """A list, or the words between the commas of a text; commas inside braces part nothing."""
    if isinstance(given, str):
        given = re.split(r",(?![^{]*})", given)
    return [word.strip() for word in given if word.strip()]


def pattern(given: Words) -> str:
    """One regular expression that finds what any of these finds; empty for none."""
    return "|".join(f"(?:{word})" for word in words(given))


def tensors(
    view: View, collections: Words, regex: Words, *, otherwise: tuple[str, ...] = ()
) -> list[str]:
    """Names in these collections and those the expression finds; `otherwise` if none is given."""
    asked = tuple(words(collections))
    if not asked and not words(regex):
        asked = otherwise
    return view.names(*asked, regex=pattern(regex))


def activations(
    view: View, collection: str, regex: Words, kinds: Iterable[str]
) -> Iterator[tuple[str, str]]:
    """Name and kind of the activations of these kinds or, if one is given, found by an expression.

    A name found by the expression belongs to the kind that it tells, as "tanh_input" does.
    """
    asked = pattern(regex)
    for name in view.names(regex=asked) if asked else view.names(collection):
        kind = view.record.kind(name, collection)
        if asked and kind not in kinds:
            kind = next((one for one in kinds if one.lower() in name.lower()), kind)
        if asked or kind in kinds:
            yield name, kind


def array(row: Row) -> Floats:
    """The values of a row in their shape; flat where the shape does not fit them."""
    values = np.asarray(row.values, dtype=np.float64)
    fits = row.shape and int(np.prod(row.shape)) == values.size
    return values.reshape(row.shape) if fits else values


def tensor(view: View, name: str) -> Floats | None:
    """The whole tensor of exactly this step; None if it was not recorded."""
    row = view.row(name, "tensor")
    return None if row is None else array(row)


def per_unit(holds: NDArray[np.bool_]) -> Floats:
    """Of (B, U, ...) the share that holds by dimension 1, (U,); of fewer dimensions, as it is."""
    if holds.ndim < 2:
        return holds.astype(np.float64)
    return holds.mean(axis=tuple(axis for axis in range(holds.ndim) if axis != 1))  # (U,)


def number(value: Any) -> str:
    """A number for people: four digits that count."""
    return f"{float(value):.4g}"
