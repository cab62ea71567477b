"""Columns: an Arrow table from rows of plain data.

`pa.Table.from_pylist` does the same, but imports pandas where that is installed: a second and
60 MB for every process that writes a table.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

NUMBERS = {pa.int32(): np.int32, pa.int64(): np.int64, pa.float32(): np.float32}


def table_of(rows: Sequence[Mapping[str, Any]], schema: pa.Schema) -> pa.Table:
    """A table with a row for each mapping; what one lacks is empty, what it has beside is left out.

    Args:
        rows: values by column: text, bytes, whole or broken numbers, lists and structs of these.
        schema: names and types of the columns.

    Raises:
        ValueError, TypeError, OverflowError: if a value is not of its column's type.
    """
    columns = [_array([row.get(name) for row in rows], schema.field(name)) for name in schema.names]
    return pa.Table.from_arrays(columns, schema=schema)


def _array(values: Sequence[Any], field: pa.Field) -> pa.Array:
    """A column of the field's type; None is empty."""
    kind = field.type
    is_empty = np.array([value is None for value in values], dtype=bool)
    if is_empty.any() and not field.nullable:
        raise ValueError(f"column {field.name} has an empty value, it may not have one")
    valid = pa.py_buffer(np.packbits(~is_empty, bitorder="little")) if is_empty.any() else None
    if kind in NUMBERS:
        plain = [0 if value is None else value for value in values]
        numbers = np.array(plain, dtype=NUMBERS[kind])
        return pa.Array.from_buffers(kind, len(values), [valid, pa.py_buffer(numbers)])
    if pa.types.is_struct(kind):
        inner = [{} if value is None else value for value in values]
        children = [_array([one.get(f.name) for one in inner], f) for f in kind]
        return pa.Array.from_buffers(kind, len(values), [valid], children=children)
    if pa.types.is_list(kind):
        lists = [[] if value is None else value for value in values]
        child = _array([one for many in lists for one in many], kind.value_field)
        return pa.Array.from_buffers(kind, len(values), [valid, _offsets(lists)], children=[child])
    parts = [b"" if value is None else _bytes(value, kind) for value in values]
    data = pa.py_buffer(b"".join(parts))
    return pa.Array.from_buffers(kind, len(values), [valid, _offsets(parts), data])


def _bytes(value: Any, kind: pa.DataType) -> bytes:
    if pa.types.is_string(kind):
        return str.encode(value)
    if pa.types.is_binary(kind):
        return bytes(memoryview(value))
    raise TypeError(f"columns of {kind} cannot be made here")


def _offsets(parts: Sequence[Sequence[Any]]) -> pa.Buffer:
    """Where each of them begins, and where the last one ends, as int32."""
    ends = np.cumsum([0, *map(len, parts)])
    if ends[-1] > np.iinfo(np.int32).max:
        raise OverflowError(f"a column of {ends[-1]:,} bytes is too large for one table")
    return pa.py_buffer(ends.astype(np.int32))
