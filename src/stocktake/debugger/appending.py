"""A file that only grows, and that never hurts who writes it: what did not fit is counted."""

import os
from pathlib import Path


class Appender:
    """Appends whole pieces to a file; a piece that fits only in part is taken back."""

    def __init__(self, path: Path) -> None:
        """Nothing is opened before the first piece.

        Args:
            path: the file; its folder is made if it is not there.
        """
        self.path = path
        self.size_bytes = 0
        """Bytes that lie in the file."""
        self.lost = 0
        """Pieces that could not be written."""
        self._file: int | None = None

    def write(self, piece: bytes) -> bool:
        """Put a piece at the end; false if the disk would not take it."""
        try:
            if self._file is None:
                self.path.parent.mkdir(parents=True, exist_ok=True)
                self._file = os.open(self.path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
                self.size_bytes = os.fstat(self._file).st_size
            written = os.write(self._file, piece)
            if written < len(piece):  # the disk became full on the way
                os.ftruncate(self._file, self.size_bytes)
                raise OSError
        except OSError:
            self.lost += 1
            return False
        self.size_bytes += written
        return True

    def close(self) -> None:
        """No more pieces."""
        if self._file is not None:
            file, self._file = self._file, None
            try:
                os.close(file)
            except OSError:
                self.lost += 1
