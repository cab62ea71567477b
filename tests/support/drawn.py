"""Photos made on the spot, in place of shards."""

from collections.abc import Sequence

from stocktake.testing.samples import squares


class Drawn:
    """Gives photo `i` with i mod 4 squares; counts how often each was asked for."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def jpegs(self, photo_ids: Sequence[str]) -> list[bytes]:
        """The files of these photos; the one called "bad" is broken."""
        self.asked += photo_ids
        return [b"broken" if i == "bad" else squares(int(i) % 4, seed=int(i)) for i in photo_ids]
