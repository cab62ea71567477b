"""Scenes to look at: enough for shares, made once."""

import pytest

from stocktake.bins.scene import Scene, scene

SEED = 11
PHOTOS = 2000


@pytest.fixture(scope="session")
def scenes() -> list[Scene]:
    """The first 2000 scenes of one seed."""
    return [scene(SEED, photo) for photo in range(PHOTOS)]
