"""Reductions: statistics of tensors, computed where the tensors are and fetched in one transfer.

Statistics of a tensor with n elements x:

| name | |
|---|---|
| mean, min, max | as they are called; NaN if one element is |
| std, variance | of the elements as they are, divided by n (NumPy's default, not torch's) |
| abs_mean | mean of abs(x) |
| norm | square root of the sum of x^2 |
| nans, infs, zeros, positive | share of elements that are NaN, infinite, 0, above 0 |
| above:X, below:X | share of elements above, below the number X |
| pN | N-th percentile, as p5 or p99.9, interpolated between elements; NaN is the largest |
| histogram | list: elements in each of 64 equal bins from min to max |
| channel_means, channel_positive | list: mean, share above 0, for each place along dimension 1 |
| value | the whole tensor as a list; of a tensor with one element, its value |

Elements of less than 32 bits are taken as float32, integers and truth values too. Of a sparse
tensor only the stored elements are seen, of a sharded one those of this rank. Percentiles and
histograms of more than 16,384 elements are those of that many, evenly spread over the tensor.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import Any

import numpy as np
import pyarrow as pa
import torch
from torch import Tensor

from stocktake.debugger.files import SCHEMA
from stocktake.debugger.records import Mode
from stocktake.debugger.selection import LISTS

BINS = 64
SAMPLE = 16_384


@dataclass(frozen=True, slots=True)
class Seen:
    """A statistic of a tensor, still on the device."""

    name: str
    collection: str
    kind: str
    statistic: str
    shape: tuple[int, ...]
    number: Tensor | float
    """With no dimension for a number, with one for a list."""
    divisor: float = 1.0
    """What the number is still to be divided by: a share is exact that way."""


def reduce(tensor: Tensor, statistics: Sequence[str]) -> list[tuple[str, Tensor, float]]:
    """Statistics of a tensor on its device: name, number or list, and what divides it.

    Args:
        tensor: any shape, any real type; it is not changed and not kept.
        statistics: names, as above.
    """
    x = _plain(tensor)
    n = x.numel()
    if n == 0:
        nothing = torch.full((), math.nan, device=x.device)
        return [(one, nothing, 1.0) for one in statistics if one not in LISTS]
    made: dict[str, tuple[Tensor, float]] = {}
    wanted = set(statistics)
    if wanted & {"mean", "std", "variance"}:
        mean = x.mean()
        made["mean"] = mean, 1.0
    if wanted & {"std", "variance"}:
        # two passes: torch.var_mean takes 16 ms for 2.4 million on one core, these take 3
        variance = (x - mean).square_().mean()
        made |= {"variance": (variance, 1.0), "std": (variance.sqrt(), 1.0)}
    if wanted & {"min", "max", "histogram"}:
        low, high = torch.aminmax(x)
        made |= {"min": (low, 1.0), "max": (high, 1.0)}
    if wanted & {"nans", "infs"}:
        made |= _unreal(x, made)
    in_order = None
    for one in wanted - made.keys():
        if one in _ONE:
            made[one] = _ONE[one](x, n)
        elif one == "histogram":
            made[one] = _histogram(x, *torch.aminmax(_sample(x))), 1.0
        elif one in LISTS:
            if x.ndim > 1:
                made[one] = _channels(x, one), 1.0
        elif one == "update_ratio":
            continue
        elif one.startswith("p"):
            in_order = _sample(x).sort().values if in_order is None else in_order
            made[one] = _percentile(in_order, float(one[1:])), 1.0
        else:
            over = float(one.partition(":")[2])
            made[one] = torch.count_nonzero(x > over if one.startswith("a") else x < over), n
    return [(one, *made[one]) for one in statistics if one in made]


_ONE: dict[str, Callable[[Tensor, int], tuple[Tensor, float]]] = {
    # not vector_norm: on a CPU it adds one by one, 2e-5 off at 60,000 elements, more with more
    "abs_mean": lambda x, n: (x.abs().mean(), 1.0),
    "norm": lambda x, n: (x.square().mean().sqrt(), n**-0.5),
    "zeros": lambda x, n: (n - torch.count_nonzero(x), n),
    "positive": lambda x, n: (torch.count_nonzero(x > 0), n),
    "value": lambda x, n: (x.reshape(-1).clone() if n > 1 else x.reshape(()).clone(), 1.0),
}


def _unreal(x: Tensor, made: dict[str, tuple[Tensor, float]]) -> dict[str, tuple[Tensor, float]]:
    """Shares of NaN and infinite; not counted where looking at the mean costs no transfer."""
    n = x.numel()
    if "mean" in made and x.device.type == "cpu" and math.isfinite(made["mean"][0].item()):
        none = torch.zeros((), dtype=torch.int64)
        return {"nans": (none, n), "infs": (none, n)}
    return {
        "nans": (torch.count_nonzero(x.isnan()), n),
        "infs": (torch.count_nonzero(x.isinf()), n),
    }


def _plain(tensor: Tensor) -> Tensor:
    """A dense real tensor of at least 32 bits that holds what there is to see."""
    x = tensor.detach()
    if hasattr(x, "to_local"):
        x = x.to_local()
    if x.is_sparse:
        x = x.coalesce().values()
    elif x.layout is not torch.strided:
        x = x.values()
    if x.is_quantized:
        x = x.dequantize()
    if x.is_complex():
        x = torch.view_as_real(x.resolve_conj())
    return x if x.dtype in (torch.float32, torch.float64) else x.float()


def _sample(x: Tensor) -> Tensor:
    """At most SAMPLE elements, one of each so many; the stride shares no factor with a side."""
    flat = x.reshape(-1)
    if len(flat) <= SAMPLE:
        return flat
    stride = -(-len(flat) // SAMPLE)
    while any(math.gcd(stride, side) > 1 for side in x.shape):
        stride += 1
    return flat[::stride]


def _percentile(in_order: Tensor, percent: float) -> Tensor:
    """Between two elements as NumPy does it; torch.quantile would bring `percent` to the device."""
    place = percent / 100 * (len(in_order) - 1)
    low, high = math.floor(place), math.ceil(place)
    return torch.lerp(in_order[low], in_order[high], place - low)


def _histogram(x: Tensor, low: Tensor, high: Tensor) -> Tensor:
    """Elements in each of BINS equal bins; those that are NaN or infinite in none.

    torch.histc would need the range on the host.
    """
    flat = _sample(x)
    places = ((flat - low) / (high - low) * BINS).nan_to_num(0.0, 0.0, 0.0)
    places = places.clamp(0, BINS - 1).long()
    return torch.zeros(BINS, dtype=flat.dtype, device=flat.device).scatter_add_(
        0, places, flat.isfinite().to(flat.dtype)
    )


def _channels(x: Tensor, one: str) -> Tensor:
    """Of shape (C,) from (B, C, ...)."""
    others = [place for place in range(x.ndim) if place != 1]
    return (x if one == "channel_means" else (x > 0).to(x.dtype)).mean(others)


class Fetched:
    """Numbers of many tensors on their way to the host, one transfer per device."""

    def __init__(self, seen: Sequence[Seen]) -> None:
        """Begin the transfer; returns before it has ended, if the device works on its own."""
        self._seen = seen
        on: dict[Any, list[tuple[int, Tensor]]] = {}
        for place, one in enumerate(seen):
            if isinstance(one.number, Tensor):
                on.setdefault(one.number.device, []).append((place, one.number))
        self._flows = [_Flow(device, found) for device, found in on.items()]
        self.size = sum(len(one.host) for one in self._flows)
        """How many numbers they are."""

    def numbers(self) -> tuple[np.ndarray, dict[int, np.ndarray]]:
        """Wait for the transfer; then each number, NaN for a list, and the lists by their place."""
        is_here = [not isinstance(one.number, Tensor) for one in self._seen]
        values = np.full(len(self._seen), math.nan)
        values[is_here] = [one.number for one in self._seen if not isinstance(one.number, Tensor)]
        lists: dict[int, np.ndarray] = {}
        for flow in self._flows:
            for place, is_list, numbers in flow.arrived():
                found = numbers / self._seen[place].divisor
                if is_list:
                    lists[place] = found
                else:
                    values[place] = found[0]
        return values, lists


class _Flow:
    """The transfer from one device: numbers by their type, so that one call stacks many; lists."""

    def __init__(self, device: torch.device, found: list[tuple[int, Tensor]]) -> None:
        found = sorted(found, key=lambda one: (one[1].ndim > 0, str(one[1].dtype)))
        self._order = [(place, one.ndim > 0, one.numel()) for place, one in found]
        wide = torch.float32 if device.type == "mps" else torch.float64
        blocks: list[Tensor] = []
        for (is_list, _), group in groupby(found, key=lambda one: (one[1].ndim > 0, one[1].dtype)):
            tensors = [one for _, one in group]
            blocks += (
                [one.to(wide) for one in tensors] if is_list else [torch.stack(tensors).to(wide)]
            )
        flat = torch.cat(blocks)
        self._event: torch.cuda.Event | None = None
        if device.type != "cuda":
            self.host = flat.cpu()
            return
        self.host = torch.empty(flat.shape, dtype=flat.dtype, pin_memory=True)
        self.host.copy_(flat, non_blocking=True)
        self._event = torch.cuda.Event()
        self._event.record(torch.cuda.current_stream(device))

    def arrived(self) -> Iterator[tuple[int, bool, np.ndarray]]:
        """Place, whether it is a list, and numbers, once they are here."""
        if self._event is not None:
            self._event.synchronize()
        flat, start = self.host.numpy(), 0
        for place, is_list, length in self._order:
            yield place, is_list, flat[start : start + length]
            start += length


def table(
    seen: Sequence[Seen], fetched: Fetched, *, step: int, mode: Mode, worker: int, now: float
) -> pa.Table:
    """Rows of one step, as they lie on disk; waits for the transfer."""
    values, lists = fetched.numbers()
    n = len(seen)
    lengths = np.zeros(n + 1, dtype=np.int32)
    for place, one in lists.items():
        lengths[place + 1] = len(one)
    flat = np.concatenate([lists[place] for place in sorted(lists)]) if lists else np.empty(0)
    columns = {
        "step": pa.array(np.full(n, step)),
        "mode": pa.repeat(mode, n),
        "worker": pa.array(np.full(n, worker, dtype=np.int32)),
        **{
            name: pa.array([getattr(one, name) for one in seen], pa.string())
            for name in ("name", "collection", "kind", "statistic")
        },
        "value": pa.array(values),
        "values": pa.ListArray.from_arrays(pa.array(np.cumsum(lengths, dtype=np.int32)), flat),
        "shape": pa.array([one.shape for one in seen], SCHEMA.field("shape").type),
        "time": pa.array(np.full(n, now)),
    }
    return pa.table({name: columns[name] for name in SCHEMA.names}, schema=SCHEMA)


def averages(found: list[Tensor | float]) -> Iterator[tuple[Tensor | float, float]]:
    """The mean of a step's losses, with what divides it; those of one device at a time."""
    numbers = [one for one in found if not isinstance(one, Tensor)]
    tensors = [one for one in found if isinstance(one, Tensor)]
    if tensors and not numbers:
        total = tensors[0] if len(tensors) == 1 else torch.stack(tensors).sum()
        yield total, float(len(tensors))
    elif numbers:
        yield sum(map(float, found)) / len(found), 1.0
