"""Confusion: the matrix of true and answered counts, made small enough to read."""

from collections.abc import Sequence
from dataclasses import dataclass

MOST = 16
"""Rows and columns at most; larger counts are gathered in the last one."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """Photos of one true count that got one answer."""

    photos: int
    share: float
    """Of the photos with that true count, 0 to 1."""
    is_right: bool
    """Whether the answer is the true count; not for gathered counts."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Row:
    """Photos of one true count."""

    label: str
    n: int
    cells: list[Cell]
    right: float | None
    """Share that was counted right exactly; None without photos."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Confusion:
    """The matrix as shown: counts that are neither there nor answered are left out."""

    labels: list[str]
    rows: list[Row]
    answered: list[int]
    """Photos by answer, in the order of `labels`."""
    n: int
    gathered_from: int | None
    """The least count of the last row and column; None if each has its own."""


def of_matrix(matrix: Sequence[Sequence[int]], *, most: int = MOST) -> Confusion:
    """The confusion as shown.

    Args:
        matrix: photos by true count (row) and answer (column); rows and columns begin at count 0.
        most: rows and columns at most, 2 or more.
    """
    width = max((len(row) for row in matrix), default=0)
    by_answer = [sum(row[i] for row in matrix if i < len(row)) for i in range(width)]
    seen = [
        i
        for i in range(max(len(matrix), width))
        if (i < width and by_answer[i]) or (i < len(matrix) and sum(matrix[i]))
    ]
    groups = [[count] for count in seen]
    gathered_from = None
    if len(groups) > most:
        gathered_from = seen[most - 1]
        groups = [*groups[: most - 1], seen[most - 1 :]]
    labels = [f"{group[0]}+" if group[0] == gathered_from else str(group[0]) for group in groups]
    rows = [_row(matrix, group, groups, label) for group, label in zip(groups, labels, strict=True)]
    return Confusion(
        labels=labels,
        rows=rows,
        answered=[sum(by_answer[i] for i in group if i < width) for group in groups],
        n=sum(by_answer),
        gathered_from=gathered_from,
    )


def _row(
    matrix: Sequence[Sequence[int]], group: list[int], groups: list[list[int]], label: str
) -> Row:
    n = sum(sum(matrix[i]) for i in group if i < len(matrix))
    right = sum(matrix[i][i] for i in group if i < len(matrix) and i < len(matrix[i]))
    cells = []
    for answers in groups:
        photos = sum(
            matrix[i][j] for i in group if i < len(matrix) for j in answers if j < len(matrix[i])
        )
        cells.append(
            Cell(
                photos=photos,
                share=photos / n if n else 0.0,
                is_right=answers == group and len(group) == 1,
            )
        )
    return Row(label=label, n=n, cells=cells, right=right / n if n else None)
