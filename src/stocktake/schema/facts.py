"""Facts: what explore says of a set of photos, as plain data in facts.json.

docs/reference/run-folder.md names every key.
"""

from collections.abc import Mapping
from typing import Any

from stocktake.errors import DataError

FORMAT = "facts/2"


def check(facts: Mapping[str, Any]) -> None:
    """Raise DataError unless the facts say that they are of the format we know."""
    found = facts.get("format")
    if found != FORMAT:
        raise DataError(f"facts.json has format {found}, expected {FORMAT}; run explore again")
