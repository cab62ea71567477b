"""What labels and predictions tell: classes out of balance, classes taken for each other."""

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from stocktake.debugger.errors import RuleError
from stocktake.debugger.records import View
from stocktake.debugger.rules import Finding, rule
from stocktake.debugger.rules.looking import Words, array, found, number, pattern

Classes = NDArray[np.int64]
MOST_CLASSES = 4096
"""A table of more classes by classes would take more memory than the training."""
CONFUSED = 1000
"""How many of the newest labels Confusion looks at: 100 for each of ten classes."""


@rule(
    "ClassImbalance",
    reads=("labels", "predictions"),
    statistics=("tensor",),
    modes=("train", "eval"),
    advice="Draw rare classes more often, weigh their loss, or get more photos of them.",
)
def class_imbalance(
    view: View,
    *,
    threshold_imbalance: float = 10.0,
    threshold_misprediction: float = 0.7,
    samples: int = 500,
    argmax: bool = False,
    labels_regex: Words = ".*labels",
    predictions_regex: Words = ".*predictions",
    start_step: int = 0,
) -> Iterator[Finding]:
    """Some classes are much rarer than others, or hardly ever got right.

    Looks at the newest `samples` labels, and at none before there are so many. Fires if the largest
    class among them has over `threshold_imbalance` times as many as the smallest; or if more than
    `threshold_misprediction` of a class were predicted as another. Predictions with a dimension
    more than their labels are scores, and the class is the largest, with or without `argmax`.
    One score between 0 and 1 is rounded. What begins to learn mispredicts most: steps before
    `start_step`, ours, are passed over.
    """
    labels = view.names("labels", regex=pattern(labels_regex))
    predictions = view.names("predictions", regex=pattern(predictions_regex))
    for name, of in zip(labels, predictions or [""] * len(labels), strict=False):
        true, said = _newest(view, (name, of), samples, argmax)
        if len(true) < samples or view.step < start_step:
            continue
        classes, counts = np.unique(true, return_counts=True)
        ratio = counts.max() / counts.min()
        if ratio > threshold_imbalance:
            most, least = classes[counts.argmax()], classes[counts.argmin()]
            yield found(
                view,
                name,
                f"among {len(true)} labels class {most} is {number(ratio)} times as frequent as "
                f"class {least}; at most {number(threshold_imbalance)} times was expected",
                imbalance=float(ratio),
            )
        for one in classes:
            if said is None:
                break
            missed = float(np.mean(said[true == one] != one))
            if missed > threshold_misprediction:
                yield found(
                    view,
                    name,
                    f"{number(100 * missed)} % of class {one} were predicted as another; at most "
                    f"{number(100 * threshold_misprediction)} % were expected",
                    misprediction=missed,
                    category=float(one),
                )


@rule(
    "Confusion",
    reads=("labels", "predictions"),
    statistics=("tensor",),
    modes=("train", "eval"),
    advice="Look at photos of the two classes: their labels may be wrong, or they may look alike.",
)
def confusion(
    view: View,
    *,
    category_no: int | None = None,
    labels: str = "labels",
    predictions: str = "predictions",
    labels_collection: str = "labels",
    predictions_collection: str = "predictions",
    min_diag: float = 0.9,
    max_off_diag: float = 0.1,
    start_step: int = 0,
) -> Iterator[Finding]:
    """Classes are taken for each other.

    Looks at the newest 1000 labels. Fires if less than `min_diag` of a class were predicted as that
    class; or if more than `max_off_diag` of what was predicted as a class were of one other. The
    manual divides the diagonal by its sum, which would fire on ten classes all predicted right; we
    divide by the number of labels of the class. Classes are 0 to `category_no` - 1; if it is not
    given, to the highest seen. What begins to learn confuses much: steps before `start_step`, ours,
    are passed over.
    """
    if view.step < start_step:
        return
    name = _named(view, labels, labels_collection)
    true, said = _newest(view, (name, _named(view, predictions, predictions_collection)), CONFUSED)
    if said is None or not len(true):
        return
    size = category_no or int(max(true.max(), said.max())) + 1
    if size > MOST_CLASSES:
        raise RuleError(f"Confusion can compare {MOST_CLASSES} classes, not {size}")
    inside = (true >= 0) & (true < size) & (said >= 0) & (said < size)
    matrix = np.zeros((size, size))
    np.add.at(matrix, (true[inside], said[inside]), 1)  # rows: true, columns: predicted
    rows, columns = matrix.sum(axis=1), matrix.sum(axis=0)
    for one in np.flatnonzero((rows > 0) & (matrix.diagonal() < min_diag * rows)):
        right = matrix[one, one] / rows[one]
        yield found(
            view,
            name,
            f"{number(100 * right)} % of class {one} were predicted right; at least "
            f"{number(100 * min_diag)} % were expected",
            category=float(one),
            right=right,
        )
    for one, other in np.argwhere(matrix > max_off_diag * np.maximum(columns, 1)):
        if one != other:
            share = matrix[one, other] / columns[other]
            yield found(
                view,
                name,
                f"{number(100 * share)} % of what was predicted as class {other} were of class "
                f"{one}; at most {number(100 * max_off_diag)} % were expected",
                category=float(one),
                predicted=float(other),
                share=share,
            )


def _named(view: View, name: str, collection: str) -> str:
    """The tensor of that name; if there is none, the first of the collection."""
    return name if view.row(name, "tensor") else next(iter(view.names(collection)), name)


def _newest(
    view: View, names: tuple[str, str], wanted: int, argmax: bool = False
) -> tuple[Classes, Classes | None]:
    """The newest labels and, if there are any, predictions of the same steps; (N,) each."""
    rows = view.rows(names[0], "tensor")
    if not rows or rows[-1].step != view.step:
        return np.zeros(0, np.int64), None
    of_step = view.rows(names[1], "tensor")
    true: list[Classes] = []
    said: list[Classes] = []
    place = len(rows)
    while place and sum(len(one) for one in true) < wanted:
        place -= 1
        here = array(rows[place]).ravel().astype(np.int64)
        other = of_step.place_before(rows[place].step)
        if other >= 0 and of_step[other].step == rows[place].step:
            told = array(of_step[other])
            if argmax or (told.ndim > 1 and told.size > here.size):
                told = told.argmax(axis=1)
            if told.size == here.size:
                said.append(np.rint(told).ravel().astype(np.int64))
        true.append(here)
    together = np.concatenate(true) if true else np.zeros(0, np.int64)
    return together, np.concatenate(said) if len(said) == len(true) and said else None
