"""Counts: which true counts somebody asks for."""

import re


class Counts:
    """The counts that are asked for, from text such as "1-5" or "0,2-4"; "" for every count.

    Raises:
        ValueError: if the text is of another form.
    """

    def __init__(self, text: str = "") -> None:
        self.text = text.strip()
        self._ranges = [_range(part, text) for part in self.text.split(",")] if self.text else []

    def __contains__(self, count: int) -> bool:
        return not self._ranges or any(low <= count <= high for low, high in self._ranges)


def _range(part: str, text: str) -> tuple[int, int]:
    match = re.fullmatch(r"\s*(\d{1,6})\s*(?:-\s*(\d{1,6})\s*)?", part)
    if match is None or int(match[2] or match[1]) < int(match[1]):
        raise ValueError(f"counts must be as in '1-5' or '0,2-4', or '' for all, got '{text}'")
    return int(match[1]), int(match[2] or match[1])
