"""Hashed: a new file that knows the SHA-256 of its bytes without being read back."""

import hashlib
import os
from pathlib import Path


class HashedFile:
    """A file to write from its start to its end; what Parquet and Arrow write into.

    Raises:
        OSError: if it cannot be made or written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = path.open("wb", buffering=0)
        self._sha256 = hashlib.sha256()

    def write(self, data: bytes) -> int:
        """Add bytes, all of them."""
        view = memoryview(data)
        self._sha256.update(view)
        left = view
        while left:
            left = left[self._file.write(left) :]
        return len(view)

    def tell(self) -> int:
        """Bytes written so far."""
        return self._file.tell()

    def flush(self) -> None:
        """Nothing waits here."""

    def sync(self) -> None:
        """Wait until what was written is on the disk."""
        os.fsync(self._file.fileno())

    def sha256(self) -> str:
        """Of what was written so far, hex."""
        return self._sha256.hexdigest()

    @property
    def closed(self) -> bool:
        """Whether it is closed."""
        return self._file.closed

    def close(self) -> None:
        """Close it."""
        self._file.close()
