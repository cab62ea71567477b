"""Rows of a record: made by hand, or computed from tensors of a small training."""

from collections.abc import Iterable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from stocktake.debugger.records import Mode, Record, Row, View
from stocktake.debugger.rules import SATURATION, Finding, find

SECONDS = 1_700_000_000.0
"""When records made by hand begin."""


def scalars(
    name: str,
    values: Mapping[int, float] | Sequence[float],
    *,
    collection: str = "losses",
    statistic: str = "value",
    mode: Mode = "train",
    start: float = SECONDS,
    kind: str = "",
) -> list[Row]:
    """A statistic by step, a second between two steps."""
    pairs = values.items() if isinstance(values, Mapping) else enumerate(values)
    return [
        Row(
            step=step,
            mode=mode,
            name=name,
            collection=collection,
            statistic=statistic,
            value=float(value),
            kind=kind,
            time=start + step,
        )
        for step, value in pairs
    ]


def whole(
    name: str,
    tensors: Mapping[int, object],
    *,
    collection: str = "weights",
    statistic: str = "tensor",
    mode: Mode = "train",
    kind: str = "",
    shape: tuple[int, ...] = (),
) -> list[Row]:
    """Whole tensors by step."""
    rows = []
    for step, given in tensors.items():
        values = np.asarray(given, dtype=float)
        rows.append(
            Row(
                step=step,
                mode=mode,
                name=name,
                collection=collection,
                statistic=statistic,
                values=tuple(values.ravel().tolist()),
                shape=shape or values.shape,
                kind=kind,
                time=SECONDS + step,
            )
        )
    return rows


def asked(rows: Iterable[Row] | Record, rule: str, profile: str = "", **given: object) -> list[int]:
    """The steps at which a rule finds something."""
    return sorted({found.step for found in told(rows, rule, profile, **given)})


def told(
    rows: Iterable[Row] | Record, rule: str, profile: str = "", **given: object
) -> list[Finding]:
    """What a rule finds, asked about every step."""
    record = rows if isinstance(rows, Record) else Record(rows)
    chosen = find(rule)
    judge = chosen.with_parameters(given, profile)
    views = [View(record, mode, step) for mode in chosen.modes for step in record.steps(mode)]
    return [found for view in views for found in judge(view)]


def statistics(tensor: Tensor, *, with_quantiles: bool = False) -> dict[str, float]:
    """Numbers of a tensor, as a record has them."""
    flat = tensor.detach().double().flatten()
    quantiles = {}
    if with_quantiles:
        low, high = torch.quantile(flat, torch.tensor([0.05, 0.95], dtype=torch.float64)).tolist()
        quantiles = {"p5": low, "p95": high}
    return quantiles | {
        "mean": flat.mean().item(),
        "std": flat.std(correction=0).item(),
        "abs_mean": flat.abs().mean().item(),
        "min": flat.min().item(),
        "max": flat.max().item(),
        "nans": flat.isnan().double().mean().item(),
        "infs": flat.isinf().double().mean().item(),
        "zeros": (flat == 0).double().mean().item(),
        "positive": (flat > 0).double().mean().item(),
    }


def _of(tensor: Tensor, collection: str) -> dict[str, float]:
    """Only gradients get quantiles, which cost most and which rules read of nothing else."""
    return statistics(tensor, with_quantiles=collection == "gradients")


class Pen:
    """Writes rows of one training."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self._time = SECONDS
        self._old: dict[str, Tensor] = {}

    def write(self, place: tuple[Mode, int], name: str, collection: str, **more: object) -> None:
        """One row; each is a millisecond younger than the one before."""
        self._time += 0.001
        mode, step = place
        row = {"step": step, "mode": mode, "name": name, "collection": collection}
        self.rows.append(Row(**row, time=self._time, **more))  # type: ignore[arg-type]

    def tensor(
        self, place: tuple[Mode, int], name: str, collection: str, tensor: Tensor, kind: str = ""
    ) -> None:
        """All statistics of a tensor, and those per unit where its kind has them."""
        for statistic, value in _of(tensor, collection).items():
            self.write(place, name, collection, statistic=statistic, value=value, kind=kind)
        units = None
        if collection == "activations" and kind == "ReLU":
            units = ("units_positive", tensor > 0)
        if collection == "activation_inputs" and kind in SATURATION:
            low, high = SATURATION[kind]
            units = ("units_inside", (tensor >= low) & (tensor <= high))
        if units:
            others = [axis for axis in range(tensor.ndim) if axis != 1]
            values = tuple(units[1].double().mean(dim=others).tolist())
            self.write(place, name, collection, statistic=units[0], values=values, kind=kind)
        if collection == "inputs" and tensor.ndim == 4:
            means = tuple(tensor.mean(dim=(0, 2, 3)).tolist())
            more = {"values": means, "shape": tuple(tensor.shape)}
            self.write(place, name, collection, statistic="channel_means", **more)

    def weight(self, place: tuple[Mode, int], name: str, tensor: Tensor) -> None:
        """Statistics of a weight, and how far it moved since it was written last."""
        collection = "biases" if name.endswith("bias") else "weights"
        self.tensor(place, name, collection, tensor)
        if name in self._old:
            moved = (tensor.detach() - self._old[name]).abs().mean().item()
            self.write(place, name, collection, statistic="update_abs_mean", value=moved)
        self._old[name] = tensor.detach().clone()

    def pause(self, seconds: float) -> None:
        """Write nothing for so long."""
        self._time += seconds

    def labels(
        self, place: tuple[Mode, int], name: str, tensor: Tensor, collection: str = ""
    ) -> None:
        """A whole tensor, of labels or predictions; the collection is called as it is."""
        values = tuple(tensor.double().flatten().tolist())
        more = {"values": values, "shape": tuple(tensor.shape)}
        self.write(place, name, collection or name, statistic="tensor", **more)
