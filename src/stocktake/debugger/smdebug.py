"""What SageMaker's own hook (smdebug) wrote, read into the same record.

Such a folder has, for each step, an index and the file it points into:

    index/000000000/000000000007_worker_0.json     mode, step, place and length of each tensor
    events/000000000007/000000000007_worker_0.tfevents
    collections/000000000/worker_0_collections.json

An event file is a run of TFRecord frames (length, checksum, bytes, checksum), each one an Event of
TensorFlow's `event.proto`, with the tensor's bytes in `tensor_content`. The few fields that are
needed are read here; neither TensorFlow nor protobuf is.

A whole tensor becomes the statistics that a `Recorder` saves, and, if it is not too large, `value`;
what smdebug had reduced itself keeps its name, with `l2` called `norm`. Steps of no mode (GLOBAL)
count as train. Names are smdebug's: `Net_fc1.weight`, `gradient/Net_fc1.weight`, `relu_output_0`.
"""

import json
import re
import struct
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from stocktake.debugger.errors import RecordError
from stocktake.debugger.files import Place, log, place_of
from stocktake.debugger.records import Mode, Record, Row

MAX_VALUES = 100_000
"""Tensors up to so many elements are also kept whole."""

_INDEX = re.compile(r"index/\d+/(\d+)_(.+)\.json")
_COLLECTIONS = re.compile(r"collections/\d+/.+_collections\.json")
_REDUCED = "smdebug/reductions/"
_MODES: dict[str, Mode] = {
    "TRAIN": "train",
    "GLOBAL": "train",
    "EVAL": "eval",
    "PREDICT": "predict",
}
_TYPES = {
    **{1: "<f4", 2: "<f8", 3: "<i4", 4: "u1", 5: "<i2", 6: "i1", 9: "<i8", 10: "?"},
    **{17: "<u2", 19: "<f2", 22: "<u4", 23: "<u8"},
}
"""NumPy's names for the numbers of TensorFlow's `DataType` that smdebug writes."""
_KINDS = {
    **{"relu": "ReLU", "tanh": "Tanh", "sigmoid": "Sigmoid", "gelu": "GELU", "conv": "Conv2d"},
    **{"linear": "Linear", "fc": "Linear"},
}
"""A module's type is not written; its name often says it."""


@dataclass(frozen=True, slots=True)
class Event:
    """One tensor as it was written."""

    tag: str
    time: float
    """Seconds since 1970."""
    array: np.ndarray | None
    """None for texts."""


def is_smdebug(folder: Path | str | Place) -> bool:
    """Whether smdebug wrote this folder."""
    return any(_INDEX.fullmatch(name) for name in place_of(folder).names())


def read(folder: Path | str | Place) -> Record:
    """The record of a folder that smdebug wrote; damaged files are named in the log and left out.

    Raises:
        RecordError: if there is no index of smdebug's in it.
    """
    place = place_of(folder)
    names = sorted(place.names())
    indices = [(match, name) for name in names if (match := _INDEX.fullmatch(name))]
    if not indices:
        raise RecordError(
            f"{place.address} has no index/*/*_worker_0.json; name the folder that holds"
            " smdebug's index and events"
        )
    groups = _collections(place, names)
    ranks = {worker: rank for rank, worker in enumerate(sorted({m[2] for m, _ in indices}))}
    ranks |= {name: int(name[7:]) for name in ranks if re.fullmatch(r"worker_\d+", name)}
    record = Record()
    for match, name in indices:
        try:
            record.extend(list(_step(place, name, ranks[match[2]], groups)))
        except (OSError, RecordError) as err:
            log.warning("%s/%s: %s; left out", place.address, name, err)
    return record


def events(data: bytes) -> Iterator[tuple[int, Event]]:
    """Each tensor in an event file, with the place of its frame.

    Raises:
        RecordError: if the file is cut, or is none.
    """
    start = 0
    while start < len(data):
        if start + 12 > len(data):
            raise RecordError(f"is cut at byte {start}")
        (length,) = struct.unpack_from("<Q", data, start)
        if start + length + 16 > len(data):
            raise RecordError(f"is cut, or no event file: byte {start} promises {length} bytes")
        event = _event(data[start + 12 : start + 12 + length])
        if event is not None:
            yield start, event
        start += length + 16


def _collections(place: Place, names: list[str]) -> dict[str, list[str]]:
    """The collections of each tensor, without those that hold everything."""
    groups: dict[str, list[str]] = {}
    for name in names:
        if not _COLLECTIONS.fullmatch(name):
            continue
        try:
            told = json.loads(place.read(name))["collections"]
            for collection, one in told.items():
                for tensor in one["tensor_names"] if collection not in ("all", "default") else ():
                    if collection not in groups.setdefault(tensor, []):
                        groups[tensor].append(collection)
        except (OSError, ValueError, KeyError, TypeError, AttributeError):
            log.warning(
                "%s/%s: is not smdebug's list of collections; left out", place.address, name
            )
    return groups


def _step(place: Place, name: str, worker: int, groups: Mapping[str, list[str]]) -> Iterator[Row]:
    try:
        meta = json.loads(place.read(name))["meta"]
        mode, step = _MODES[meta["mode"]], int(meta["mode_step"])
        path = str(meta["event_file_name"])
    except (ValueError, KeyError, TypeError):
        raise RecordError("is not smdebug's index") from None
    try:
        for _, event in events(place.read(path)):
            if event.array is not None:
                yield from _rows(event, event.array, step, mode, worker, groups)
    except OSError as err:
        raise RecordError(f"{path}: {err.strerror or err}") from None
    except RecordError as err:
        raise RecordError(f"{path} {err}") from None


def _rows(
    event: Event,
    array: np.ndarray,
    step: int,
    mode: Mode,
    worker: int,
    groups: Mapping[str, list[str]],
) -> Iterator[Row]:
    name, found = event.tag, {}
    if name.startswith(_REDUCED):
        statistic, _, name = name.removeprefix(_REDUCED).partition("/")
        found = {"norm" if statistic == "l2" else statistic: float(array.reshape(-1)[0])}
    own = _collection_of(name, groups.get(name, []))
    if not found:
        found = _statistics(array, own)
    values: tuple[float, ...] = ()
    if array.size != 1 and array.size <= MAX_VALUES:
        values = tuple(array.reshape(-1).astype(float).tolist())
    kind = _kind_of(name) if own in ("activations", "activation_inputs") else ""
    shape = () if event.tag.startswith(_REDUCED) else array.shape
    about: dict[str, Any] = {"name": name, "kind": kind, "time": event.time, "shape": shape}
    about |= {"step": step, "mode": mode, "worker": worker}
    for collection in dict.fromkeys([own, *groups.get(name, [])]):
        for statistic, value in found.items():
            yield Row(**about, collection=collection, statistic=statistic, value=value)
        if values:
            yield Row(**about, collection=collection, statistic="value", values=values)


def _collection_of(name: str, groups: list[str]) -> str:
    """The collection that a `Recorder` would have put a tensor in."""
    for known in ("losses", "gradients", "weights", "biases"):
        if known in groups:
            return known
    if name.startswith("scalar/"):
        return "scalars"
    if name.startswith("gradient/"):
        return "gradients"
    if re.search(r"[Ll]oss_(?!input).*output", name):
        return "losses"
    if re.search(r"_input_\d+$", name):
        return "activation_inputs"
    if re.search(r"_output_\d+$", name):
        return "activations"
    if name.endswith("bias"):
        return "biases"
    return "weights" if name.endswith("weight") else groups[0] if groups else "tensors"


def _kind_of(name: str) -> str:
    plain = re.sub(r"_(input|output)_\d+$", "", name).lower()
    return next((kind for part, kind in _KINDS.items() if part in plain), "")


def _statistics(array: np.ndarray, collection: str) -> dict[str, float]:
    """The statistics that a `Recorder` saves, of a tensor in memory."""
    x = array.astype(np.float64)
    if x.size == 1:
        return {"value": float(x.reshape(-1)[0])} | (
            {} if collection in ("losses", "scalars") else _of(x)
        )
    return _of(x) if x.size else {}


def _of(x: np.ndarray) -> dict[str, float]:
    with np.errstate(invalid="ignore", over="ignore"):
        low, high = np.percentile(x, (5, 95))
        made = {
            **{"mean": x.mean(), "std": x.std(), "variance": x.var(), "abs_mean": np.abs(x).mean()},
            **{"norm": np.linalg.norm(x.reshape(-1)), "min": x.min(), "max": x.max()},
            **{"p5": low, "p95": high, "zeros": (x == 0).mean(), "positive": (x > 0).mean()},
            **{"nans": np.isnan(x).mean(), "infs": np.isinf(x).mean()},
        }
    return {name: float(value) for name, value in made.items()}


def _event(data: bytes) -> Event | None:
    """The tensor in an Event; None for one that has none, as the first of a file."""
    time = 0.0
    for number, value in _fields(data):
        if number == 1 and len(_bytes(value)) == 8:
            (time,) = struct.unpack("<d", value)
        elif number == 5:  # Summary
            for _, one in _fields(_bytes(value)):  # its values
                fields = dict(_fields(_bytes(one)))
                if 8 in fields:
                    tag = _bytes(fields.get(1, b"")).decode("utf-8", "replace")
                    return Event(tag, time, _tensor(_bytes(fields[8])))
    return None


def _tensor(data: bytes) -> np.ndarray | None:
    """A TensorProto: dtype 1, shape 2, tensor_content 4."""
    fields = dict(_fields(data))
    number = fields.get(1, 0)
    if number not in _TYPES:
        return None
    shape = []
    for field, one in _fields(_bytes(fields.get(2, b""))):
        if field == 2:
            size = dict(_fields(_bytes(one))).get(1, 0)
            shape.append(size if isinstance(size, int) else -1)
    content = _bytes(fields.get(4, b""))
    try:
        return np.frombuffer(content, _TYPES[int(number)]).reshape(shape)
    except ValueError:
        raise RecordError(f"has a tensor of shape {shape} in {len(content)} bytes") from None


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    """Number and value of each field of a protobuf message: an int, or the bytes of the others."""
    place = 0
    while place < len(data):
        key, place = _varint(data, place)
        wire = key & 7
        if wire == 0:
            value, place = _varint(data, place)
            yield key >> 3, value
            continue
        if wire == 2:
            length, place = _varint(data, place)
        elif wire in (1, 5):
            length = 8 if wire == 1 else 4
        else:
            raise RecordError(f"has a field of wire type {wire}, which is none")
        if place + length > len(data):
            raise RecordError("has a field that ends behind its message")
        yield key >> 3, data[place : place + length]
        place += length


def _varint(data: bytes, place: int) -> tuple[int, int]:
    found = 0
    for shift in range(0, 70, 7):
        if place >= len(data):
            break
        byte = data[place]
        place += 1
        found |= (byte & 0x7F) << shift
        if byte < 0x80:
            return found, place
    raise RecordError("has a number that does not end")


def _bytes(value: Any) -> bytes:
    if not isinstance(value, bytes):
        raise RecordError("has a number where a message was expected")
    return value
